/* Stands between a program and its disk (LD_PRELOAD), for the files of a store
 * whose name begins with bridge.db.
 *
 * The file that DISK_TROUBLE names says what fails, a line for each kind:
 * `write 28` (cutting too), `fill 28` (writing alone), `rest 28` (the same but for
 * the index of the log, which keeps its room over a kill), `sync 5` (the number is an
 * errno). It is read at every call, so
 * trouble begins when it is written and ends when it is emptied.
 *
 * Into the file that DISK_RECORD names is written, in the order in which it
 * happened: a write, a cut and the end of a sync of the database or its log,
 * and the moment before an HTTP answer 2xx is sent. A record is its kind, the
 * file (d or w), 8 bytes of offset, 4 bytes of length, and what was written.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* What follows bridge.db in the file's name; NULL for any other file. */
static const char *of_store(int fd, char name[4096])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, name, 4095);
    if (length <= 0)
        return NULL;
    name[length] = 0;
    const char *file = strrchr(name, '/');
    return file && !strncmp(file, "/bridge.db", 10) ? file + 10 : NULL;
}

/* The errno with which such a call is to fail, or 0. */
static int trouble(int fd, const char *kind)
{
    char name[4096], text[256];
    const char *path = getenv("DISK_TROUBLE");
    if (!path || !of_store(fd, name))
        return 0;
    int file = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    ssize_t length = syscall(SYS_read, file, text, sizeof text - 1);
    syscall(SYS_close, file);
    if (length <= 0)
        return 0;
    text[length] = 0;
    const char *found = strstr(text, kind);
    return found ? atoi(found + strlen(kind)) : 0;
}

static int is_index(int fd)
{
    char name[4096];
    const char *end = of_store(fd, name);
    return end && !strcmp(end, "-shm");
}

#define FAIL_IN(kind) \
    do { \
        int wrong = trouble(fd, kind); \
        if (wrong) { \
            errno = wrong; \
            return -1; \
        } \
    } while (0)

static int tape(void)
{
    static int file = -2;
    if (file == -2) {
        const char *path = getenv("DISK_RECORD");
        int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC;
        file = path ? syscall(SYS_openat, AT_FDCWD, path, flags, 0600) : -1;
    }
    return file;
}

static void put(char kind, char file, uint64_t offset, const void *bytes, uint32_t length)
{
    char head[14] = {kind, file};
    memcpy(head + 2, &offset, 8);
    memcpy(head + 10, &length, 4);
    struct iovec both[2] = {{head, sizeof head}, {(void *)bytes, length}};
    if (syscall(SYS_writev, tape(), both, 2) != (ssize_t)(sizeof head + length))
        abort();
}

/* d for the database, w for its log, 0 for everything else. */
static char taped(int fd)
{
    char name[4096];
    const char *end = tape() < 0 ? NULL : of_store(fd, name);
    if (!end)
        return 0;
    return !*end ? 'd' : !strcmp(end, "-wal") ? 'w' : 0;
}

static void answered(const void *bytes, size_t length)
{
    if (tape() < 0 || length < 10 || memcmp(bytes, "HTTP/1.1 2", 10))
        return;
    pthread_mutex_lock(&one_at_a_time);
    put('a', 0, 0, NULL, 0);
    pthread_mutex_unlock(&one_at_a_time);
}

#define WRITE_AT(name) \
    ssize_t name(int fd, const void *bytes, size_t length, off_t offset) \
    { \
        REAL(name); \
        FAIL_IN("write "); \
        FAIL_IN("fill "); \
        if (!is_index(fd)) \
            FAIL_IN("rest "); \
        char file = taped(fd); \
        if (!file) \
            return real(fd, bytes, length, offset); \
        pthread_mutex_lock(&one_at_a_time); \
        ssize_t done = real(fd, bytes, length, offset); \
        if (done > 0) \
            put('w', file, offset, bytes, done); \
        pthread_mutex_unlock(&one_at_a_time); \
        return done; \
    }
WRITE_AT(pwrite)
WRITE_AT(pwrite64)

#define SYNC(name) \
    int name(int fd) \
    { \
        REAL(name); \
        FAIL_IN("sync "); \
        char file = taped(fd); \
        if (!file) \
            return real(fd); \
        pthread_mutex_lock(&one_at_a_time); \
        int done = real(fd); \
        if (!done) \
            put('s', file, 0, NULL, 0); \
        pthread_mutex_unlock(&one_at_a_time); \
        return done; \
    }
SYNC(fsync)
SYNC(fdatasync)

#define CUT(name) \
    int name(int fd, off_t length) \
    { \
        REAL(name); \
        FAIL_IN("write "); \
        char file = taped(fd); \
        if (!file) \
            return real(fd, length); \
        pthread_mutex_lock(&one_at_a_time); \
        int done = real(fd, length); \
        if (!done) \
            put('c', file, length, NULL, 0); \
        pthread_mutex_unlock(&one_at_a_time); \
        return done; \
    }
CUT(ftruncate)
CUT(ftruncate64)

ssize_t write(int fd, const void *bytes, size_t length)
{
    REAL(write);
    FAIL_IN("write ");
    FAIL_IN("fill ");
    if (!is_index(fd))
        FAIL_IN("rest ");
    answered(bytes, length);
    return real(fd, bytes, length);
}

ssize_t send(int fd, const void *bytes, size_t length, int flags)
{
    REAL(send);
    answered(bytes, length);
    return real(fd, bytes, length, flags);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    REAL(writev);
    if (count > 0)
        answered(parts[0].iov_base, parts[0].iov_len);
    return real(fd, parts, count);
}
