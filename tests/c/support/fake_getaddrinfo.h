/*
 * fake_getaddrinfo.h - a getaddrinfo(3) of the test's own. A symbol of the executable comes before
 * libc's for every library, so libvconnpool asks this one: which names there are, how they fail,
 * and how long they take is up to the test.
 *
 * Names that begin with "hang" do not answer before names_let_go(); then they are what
 * names_after_hanging says.
 */
#ifndef FAKE_GETADDRINFO_H
#define FAKE_GETADDRINFO_H

#include "check.h"

#define NAMES_MOST 16

typedef struct known_name {
    char host[64];
    const char *addresses; /* with one space between them */
    int code;              /* else: EAI_* */
    int number;            /* for EAI_SYSTEM: errno */
    int is_slow;           /* does not answer before names_let_go */
    int calls;
} known_name;

typedef struct the_names {
    known_name known[NAMES_MOST];
    int count;
    int holds;         /* slow and hanging names wait while it is 1 */
    int after_hanging; /* EAI_*, or 0: 127.0.0.1 */
    int calls;
    int running;
    int most_running;
    int lists; /* answers that were not freed */
    struct addrinfo hints;
    int had_hints;
    int had_service;
} the_names;

static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t names_changed = PTHREAD_COND_INITIALIZER;
static the_names names; /* guarded by names_lock */

static inline known_name *find_name(const char *host)
{
    int i;
    for (i = 0; i < names.count; i++)
        if (strcmp(names.known[i].host, host) == 0)
            return &names.known[i];
    return NULL;
}

static inline known_name *new_name(const char *host)
{
    known_name *name = find_name(host);
    if (name == NULL) {
        CHECK(names.count < NAMES_MOST);
        name = &names.known[names.count++];
    }
    memset(name, 0, sizeof *name);
    snprintf(name->host, sizeof name->host, "%s", host);
    return name;
}

/* From now on the host has these addresses, and was never asked for. */
static inline void name_is(const char *host, const char *addresses)
{
    pthread_mutex_lock(&names_lock);
    new_name(host)->addresses = addresses;
    pthread_mutex_unlock(&names_lock);
}

/* From now on the host fails by this EAI_*, and was never asked for. */
static inline void name_fails(const char *host, int code, int number)
{
    known_name *name;
    pthread_mutex_lock(&names_lock);
    name = new_name(host);
    name->code = code;
    name->number = number;
    pthread_mutex_unlock(&names_lock);
}

/* It answers as before, but only after names_let_go. */
static inline void name_is_slow(const char *host)
{
    pthread_mutex_lock(&names_lock);
    find_name(host)->is_slow = 1;
    names.holds = 1;
    pthread_mutex_unlock(&names_lock);
}

static inline void names_hold(void)
{
    pthread_mutex_lock(&names_lock);
    names.holds = 1;
    pthread_mutex_unlock(&names_lock);
}

static inline void names_let_go(void)
{
    pthread_mutex_lock(&names_lock);
    names.holds = 0;
    pthread_cond_broadcast(&names_changed);
    pthread_mutex_unlock(&names_lock);
}

static inline int names_number(const int *what)
{
    int number;
    pthread_mutex_lock(&names_lock);
    number = *what;
    pthread_mutex_unlock(&names_lock);
    return number;
}

/* How often a host was asked for. */
static inline int calls_for(const char *host)
{
    return names_number(&find_name(host)->calls);
}

static inline int all_calls(void)
{
    return names_number(&names.calls);
}

/* Lookups that run now, and the most at once. */
static inline int lookups(void)
{
    return names_number(&names.running);
}

static inline int most_lookups(void)
{
    return names_number(&names.most_running);
}

static inline struct addrinfo *answer_of(const char *text, int type)
{
    struct addrinfo *first = NULL;
    struct addrinfo **last = &first;
    char copy[512];
    char *rest = NULL;
    char *ip;
    snprintf(copy, sizeof copy, "%s", text);
    for (ip = strtok_r(copy, " ", &rest); ip != NULL; ip = strtok_r(NULL, " ", &rest)) {
        struct addrinfo *one =
            (struct addrinfo *)calloc(1, sizeof *one + sizeof(struct sockaddr_storage));
        struct sockaddr_in *v4 = (struct sockaddr_in *)(one + 1);
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(one + 1);
        one->ai_socktype = type;
        one->ai_addr = (struct sockaddr *)(one + 1);
        if (strchr(ip, ':') == NULL) {
            one->ai_family = v4->sin_family = AF_INET;
            one->ai_addrlen = sizeof *v4;
            CHECK_EQ(inet_pton(AF_INET, ip, &v4->sin_addr), 1);
        } else {
            v6->sin6_family = AF_INET6;
            one->ai_family = AF_INET6;
            one->ai_addrlen = sizeof *v6;
            CHECK_EQ(inet_pton(AF_INET6, ip, &v6->sin6_addr), 1);
        }
        *last = one;
        last = &one->ai_next;
    }
    return first;
}

#ifdef __cplusplus
#define NEVER_THROWS noexcept
extern "C" {
#else
#define NEVER_THROWS
#endif

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **list)
{
    known_name *name;
    int hangs = strncmp(host, "hang", 4) == 0;
    int code = EAI_NONAME;
    const char *addresses = NULL;
    pthread_mutex_lock(&names_lock);
    name = find_name(host);
    names.calls++;
    names.running++;
    names.most_running = names.running > names.most_running ? names.running : names.most_running;
    names.had_service = service != NULL;
    names.had_hints = hints != NULL;
    if (hints != NULL)
        names.hints = *hints;
    if (name != NULL)
        name->calls++;
    while (names.holds && (hangs || (name != NULL && name->is_slow)))
        pthread_cond_wait(&names_changed, &names_lock);
    if (name != NULL) {
        code = name->code;
        addresses = name->addresses;
        errno = name->number;
    } else if (hangs) {
        code = names.after_hanging;
        addresses = "127.0.0.1";
    }
    names.running--;
    if (code == 0) {
        *list = answer_of(addresses, hints == NULL ? 0 : hints->ai_socktype);
        names.lists += *list != NULL;
    }
    pthread_mutex_unlock(&names_lock);
    return code;
}

void freeaddrinfo(struct addrinfo *list) NEVER_THROWS
{
    pthread_mutex_lock(&names_lock);
    names.lists -= list != NULL;
    pthread_mutex_unlock(&names_lock);
    while (list != NULL) {
        struct addrinfo *next = list->ai_next;
        free(list);
        list = next;
    }
}

#ifdef __cplusplus
}
#endif

#endif
