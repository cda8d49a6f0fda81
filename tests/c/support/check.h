/*
 * check.h - all that nearly every C test needs. Header only; C99 and C++11.
 *
 * A test is TEST(name, "subject: the rule that it shows") { ... }, see test.h. A failed check
 * prints where and what, and ends the process.
 */
#ifndef CHECK_H
#define CHECK_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vconnpool.h"
#include "checks.h"
#include "clock.h"
#include "process_counts.h"
#include "servers.h"
#include "pools.h"
#include "fixture.h"
#ifndef WITHOUT_TESTS
#include "test.h"
#endif

#endif
