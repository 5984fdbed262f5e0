/* What the tests in C have in common. A test is
 *
 *     TEST(name_of_the_test)
 *     {
 *         CHECK(1 + 1 == 2);
 *         CHECK_EQUAL(OH_IPCParcel_GetDataSize(NULL), -1);
 *     }
 *
 * and registers itself; `main` runs all, or those that are named. */
#ifndef SOFTBUS_TEST_H
#define SOFTBUS_TEST_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <IPCKit/ipc_kit.h>

struct Test {
    const char *name;
    void (*run)(void);
    struct Test *next;
};

static struct Test *g_tests;

#define TEST(test)                                                                                  \
    static void test(void);                                                                         \
    __attribute__((constructor)) static void register_##test(void)                                  \
    {                                                                                               \
        static struct Test entry = {#test, test, NULL};                                             \
        struct Test **last = &g_tests;                                                              \
        while (*last != NULL) {                                                                     \
            last = &(*last)->next;                                                                  \
        }                                                                                           \
        *last = &entry;                                                                             \
    }                                                                                               \
    static void test(void)

#define CHECK(condition)                                                                            \
    do {                                                                                            \
        if (!(condition)) {                                                                         \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                         \
            exit(1);                                                                                \
        }                                                                                           \
    } while (0)

#define CHECK_EQUAL(found, expected)                                                                \
    do {                                                                                            \
        long long found_ = (long long)(found);                                                      \
        long long expected_ = (long long)(expected);                                                \
        if (found_ != expected_) {                                                                  \
            fprintf(stderr, "%s:%d: %s is %lld and not %lld\n", __FILE__, __LINE__, #found, found_, \
                expected_);                                                                         \
            exit(1);                                                                                \
        }                                                                                           \
    } while (0)

static inline void *Allocate(int32_t len)
{
    return malloc((size_t)len);
}

static inline void *AllocateNothing(int32_t len)
{
    (void)len;
    return NULL;
}

/** Something that becomes true on another thread. */
struct Event {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int count;
};

#define EVENT {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0}

static inline void Happen(struct Event *event)
{
    pthread_mutex_lock(&event->mutex);
    event->count++;
    pthread_cond_broadcast(&event->changed);
    pthread_mutex_unlock(&event->mutex);
}

static inline int CountOf(struct Event *event)
{
    pthread_mutex_lock(&event->mutex);
    int count = event->count;
    pthread_mutex_unlock(&event->mutex);
    return count;
}

/** Waits until it has happened so often, for a minute at most. */
static inline void WaitFor(struct Event *event, int count)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    pthread_mutex_lock(&event->mutex);
    while (event->count < count) {
        CHECK(pthread_cond_timedwait(&event->changed, &event->mutex, &until) == 0);
    }
    pthread_mutex_unlock(&event->mutex);
}

static inline int RunTests(int argc, char **argv)
{
    int run = 0;
    for (struct Test *test = g_tests; test != NULL; test = test->next) {
        bool wanted = argc < 2;
        for (int i = 1; i < argc; i++) {
            wanted |= strcmp(argv[i], test->name) == 0;
        }
        if (wanted) {
            printf("%s\n", test->name);
            fflush(stdout);
            test->run();
            run++;
        }
    }
    return run == 0;
}

#endif
