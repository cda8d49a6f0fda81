/* Answers three requests on each TLS connection, and resets it: tls_server_that_resets port
 * cert.pem key.pem */
#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static SSL_CTX *tls;

static void *serve(void *argument)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    int fd = (int)(intptr_t)argument;
    struct linger reset = {1, 0};
    SSL *session = SSL_new(tls);
    char text[8192];
    int i;
    if (session != NULL && SSL_set_fd(session, fd) && SSL_accept(session) == 1)
        for (i = 0; i < 3; i++)
            if (SSL_read(session, text, sizeof text) <= 0 ||
                SSL_write(session, answer, sizeof answer - 1) <= 0)
                break;
    SSL_free(session);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    return NULL;
}

int main(int argc, char **argv)
{
    struct sockaddr_in name;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (argc < 4)
        return 2;
    memset(&name, 0, sizeof name);
    name.sin_family = AF_INET;
    name.sin_port = htons((uint16_t)atoi(argv[1]));
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    signal(SIGPIPE, SIG_IGN);
    tls = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_file(tls, argv[2], SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, argv[3], SSL_FILETYPE_PEM) != 1 ||
        bind(listener, (struct sockaddr *)&name, sizeof name) != 0 || listen(listener, 64) != 0)
        return 1;
    for (;;) {
        pthread_t thread;
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0 && pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) == 0)
            pthread_detach(thread);
    }
}
