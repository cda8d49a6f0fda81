/*
 * rows.h - the functions that the library calls and that can fail, and how: the errors that the
 * manual page of each (section 2 or 3; ip(7), tcp(7), unix(7) for sockets) allows for a right call
 * on a machine that has too little of something, a peer that has gone, or a kernel that is old or
 * guarded. Errors that only a wrong call meets (EFAULT, EINVAL, EBADF) are none of them.
 *
 * ROW(identifier, name, kind, how many of the last errors are of one call only, errors...)
 *
 * EINTR and EAGAIN ask for the call to be repeated. A kernel that says so for ever is a kernel that
 * hangs, so a run that goes on goes on with another error; a row that has none is failed once.
 */
ROW(SOCKET, "socket", TORTURE_CALLS, 0, E(EMFILE), E(ENFILE), E(ENOBUFS), E(EACCES),
    E(EAFNOSUPPORT))
ROW(CONNECT, "connect", TORTURE_CALLS, 1, E(ECONNREFUSED), E(ENETUNREACH), E(EADDRNOTAVAIL),
    E(EACCES), E(ETIMEDOUT), E(EAGAIN), E(EINTR))
ROW(BIND, "bind", TORTURE_CALLS, 0, E(EADDRINUSE), E(EADDRNOTAVAIL), E(EACCES), E(ENOMEM))
ROW(GETSOCKOPT, "getsockopt", TORTURE_CALLS, 0, E(ENOBUFS), E(ENOPROTOOPT))
ROW(SETSOCKOPT, "setsockopt", TORTURE_CALLS, 0, E(ENOBUFS), E(ENOPROTOOPT), E(EPERM))
ROW(GETSOCKNAME, "getsockname", TORTURE_CALLS, 0, E(ENOBUFS))
ROW(GETPEERNAME, "getpeername", TORTURE_CALLS, 0, E(ENOTCONN), E(ENOBUFS))
ROW(IOCTL, "ioctl", TORTURE_CALLS, 0, E(ENOTTY), E(EPERM))
ROW(FSTAT, "fstat", TORTURE_CALLS, 0, E(ENOMEM), E(EOVERFLOW))
ROW(SHUTDOWN, "shutdown", TORTURE_CALLS, 0, E(ENOTCONN), E(ENOBUFS))
/* Linux has closed the descriptor all the same (close(2), NOTES): so has the shim. */
ROW(CLOSE, "close", TORTURE_CALLS, 1, E(EIO), E(EINTR))
ROW(SEND, "send", TORTURE_CALLS, 2, E(EPIPE), E(ECONNRESET), E(ENOBUFS), E(EAGAIN), E(EINTR))
ROW(RECV, "recv", TORTURE_CALLS, 2, E(ECONNRESET), E(ETIMEDOUT), E(ENOMEM), E(EAGAIN), E(EINTR))
ROW(EPOLL_CREATE1, "epoll_create1", TORTURE_CALLS, 0, E(EMFILE), E(ENFILE), E(ENOMEM))
ROW(EPOLL_ADD, "epoll_ctl(add)", TORTURE_CALLS, 0, E(ENOSPC), E(ENOMEM), E(EPERM))
ROW(EPOLL_MOD, "epoll_ctl(mod)", TORTURE_CALLS, 0, E(ENOMEM))
/* The kernel has taken it out already, as at a close(2) elsewhere: so has the shim. */
ROW(EPOLL_DEL, "epoll_ctl(del)", TORTURE_CALLS, 0, E(ENOENT))
ROW(EPOLL_WAIT, "epoll_wait", TORTURE_CALLS, 1, E(EINTR))
ROW(POLL, "poll", TORTURE_CALLS, 1, E(ENOMEM), E(EINTR))
ROW(PPOLL, "ppoll", TORTURE_CALLS, 1, E(ENOMEM), E(EINTR))
ROW(EVENTFD, "eventfd", TORTURE_CALLS, 0, E(EMFILE), E(ENFILE), E(ENOMEM), E(ENODEV))
ROW(PTHREAD_CREATE, "pthread_create", TORTURE_CALLS, 0, E(EAGAIN), E(EPERM))
ROW(GETADDRINFO, "getaddrinfo", TORTURE_CALLS, 0, E(EAI_AGAIN), E(EAI_FAIL), E(EAI_MEMORY),
    E(EAI_SYSTEM), E(EAI_NONAME), E(EAI_NODATA))
ROW(GETSERVBYNAME_R, "getservbyname_r", TORTURE_CALLS, 0, E(ERANGE), E(ENOENT))
ROW(GETPROTOBYNAME_R, "getprotobyname_r", TORTURE_CALLS, 0, E(ERANGE), E(ENOENT))
ROW(IF_NAMETOINDEX, "if_nametoindex", TORTURE_CALLS, 0, E(ENODEV), E(EMFILE))
ROW(MMAP, "mmap", TORTURE_CALLS, 0, E(ENOMEM), E(EAGAIN))
ROW(MUNMAP, "munmap", TORTURE_CALLS, 0, E(ENOMEM))
ROW(MADVISE, "madvise", TORTURE_CALLS, 0, E(EINVAL), E(ENOMEM))
ROW(ATFORK, "pthread_atfork", TORTURE_CALLS, 0, E(ENOMEM))
/* Not ENOSYS: kernels that lack it (before 3.17) lack what else the library asks for. */
ROW(GETRANDOM, "getrandom", TORTURE_CALLS, 1, E(EINTR))
ROW(OPEN, "open", TORTURE_CALLS, 0, E(EMFILE), E(ENOENT))
ROW(READ, "read", TORTURE_CALLS, 1, E(EIO), E(EINTR))
ROW(WRITE, "write", TORTURE_CALLS, 1, E(EIO), E(EINTR))
ROW(GETATTR, "pthread_getattr_np", TORTURE_CALLS, 0, E(ENOMEM))
ROW(KEY_CREATE, "pthread_key_create", TORTURE_CALLS, 0, E(EAGAIN), E(ENOMEM))
ROW(SETSPECIFIC, "pthread_setspecific", TORTURE_CALLS, 0, E(ENOMEM))
ROW(SIGALTSTACK, "sigaltstack", TORTURE_CALLS, 0, E(ENOMEM))
/* syscall(2), by number. */
ROW(SYS_PEEK, "syscall(recvfrom)", TORTURE_CALLS, 1, E(ECONNRESET), E(ENOTCONN), E(ENOMEM),
    E(EINTR))
ROW(SYS_CLOSE_INHERITED, "syscall(close)", TORTURE_CALLS, 1, E(EIO), E(EINTR))
ROW(SYS_FUTEX_WAIT, "syscall(futex wait)", TORTURE_CALLS, 2, E(EAGAIN), E(EINTR))
ROW(MALLOC, "malloc", TORTURE_MEMORY, 0, E(ENOMEM))
ROW(CALLOC, "calloc", TORTURE_MEMORY, 0, E(ENOMEM))
ROW(REALLOC, "realloc", TORTURE_MEMORY, 0, E(ENOMEM))
ROW(ALIGNED, "posix_memalign", TORTURE_MEMORY, 0, E(ENOMEM))
/* What libc allocates for a call that the library makes: see calls.c. */
ROW(IN_LIBC, "malloc in libc", TORTURE_MEMORY, 0, E(ENOMEM))
/*
 * The same in the name service (getaddrinfo(3), getservbyname(3), getprotobyname(3)), a kind of its
 * own: glibc 2.36 does not survive it. It uses a null pointer (nss/nsswitch.c), keeps its lock for
 * ever (resolv/resolv_conf.c, get_locked_global), or knows no name any more.
 */
ROW(IN_NAMES, "malloc in the name service", TORTURE_NAMES, 0, E(ENOMEM))
