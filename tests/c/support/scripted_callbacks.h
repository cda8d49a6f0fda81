/*
 * scripted_callbacks.h - a resolve and a control callback that follow a script, and note which
 * address was tried when.
 */
#ifndef SCRIPTED_CALLBACKS_H
#define SCRIPTED_CALLBACKS_H

#include "check.h"

#define TRIED_MOST 64

static inline int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* One call of the control callback. */
typedef struct tried {
    int64_t at_us;
    char network[8];
    char address[64];
    int fd;
} tried;

typedef struct script {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /*
     * What resolve does: adds each address once so much time has passed since its call, then
     * returns, or holds.
     */
    char text[256];
    const char *ips[16];
    int64_t after_ms[16];
    int resolve_holds;
    int resolve_calls;
    int resolving;
    /* What control does and saw. */
    int control_holds;
    int control_answer;
    int count;
    tried all[TRIED_MOST];
} script;

static inline void script_init(script *s)
{
    memset(s, 0, sizeof *s);
    CHECK_EQ(pthread_mutex_init(&s->lock, NULL), 0);
    CHECK_EQ(pthread_cond_init(&s->changed, NULL), 0);
}

/* resolve answers with these, with one space between them; what was tried before is forgotten. */
static inline void script_says(script *s, const char *ips)
{
    char *rest = NULL;
    int i = 0;
    memset(s->after_ms, 0, sizeof s->after_ms);
    snprintf(s->text, sizeof s->text, "%s", ips);
    s->ips[0] = strtok_r(s->text, " ", &rest);
    while (s->ips[i] != NULL) {
        CHECK(++i < 16);
        s->ips[i] = strtok_r(NULL, " ", &rest);
    }
    s->count = 0;
}

static inline void script_holds(script *s, int *what, int holds)
{
    pthread_mutex_lock(&s->lock);
    *what = holds;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static inline int script_number(script *s, const int *what)
{
    int number;
    pthread_mutex_lock(&s->lock);
    number = *what;
    pthread_mutex_unlock(&s->lock);
    return number;
}

/* How many sockets were made to connect. */
static inline int attempts(script *s)
{
    return script_number(s, &s->count);
}

static inline int script_resolve(void *user, const char *network, const char *host,
                                 int64_t timeout_ms, vcp_resolved *out)
{
    script *s = (script *)user;
    int64_t began = now_us();
    int i;
    (void)network;
    (void)host;
    (void)timeout_ms;
    pthread_mutex_lock(&s->lock);
    s->resolve_calls++;
    s->resolving++;
    pthread_mutex_unlock(&s->lock);
    for (i = 0; i < 16 && s->ips[i] != NULL; i++) {
        int64_t left;
        while ((left = began + s->after_ms[i] * 1000 - now_us()) > 0)
            poll(NULL, 0, (int)(left / 1000 + 1));
        CHECK_EQ(vcp_resolved_add(out, s->ips[i]), VCP_OK);
    }
    pthread_mutex_lock(&s->lock);
    while (s->resolve_holds)
        pthread_cond_wait(&s->changed, &s->lock);
    s->resolving--;
    pthread_mutex_unlock(&s->lock);
    return 0;
}

static inline int script_control(void *user, const char *network, const char *address, int fd)
{
    script *s = (script *)user;
    tried *one;
    int answer;
    pthread_mutex_lock(&s->lock);
    CHECK(s->count < TRIED_MOST);
    one = &s->all[s->count];
    one->at_us = now_us();
    one->fd = fd;
    snprintf(one->network, sizeof one->network, "%s", network);
    snprintf(one->address, sizeof one->address, "%s", address);
    s->count++;
    while (s->control_holds)
        pthread_cond_wait(&s->changed, &s->lock);
    answer = s->control_answer;
    pthread_mutex_unlock(&s->lock);
    return answer;
}

/* The hosts that were tried, in their order: "127.0.0.1 [::1]". */
static inline const char *order_of(script *s, char *text, size_t size)
{
    size_t used = 0;
    int i;
    text[0] = '\0';
    for (i = 0; i < s->count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%.*s", i == 0 ? "" : " ",
                                 (int)(strrchr(s->all[i].address, ':') - s->all[i].address),
                                 s->all[i].address);
    return text;
}

/* When attempt number so and so began, in ms since `start_us`, rounded down. */
static inline int64_t tried_after(const script *s, int number, int64_t start_us)
{
    CHECK(number < s->count);
    return (s->all[number].at_us - start_us) / 1000;
}

#endif
