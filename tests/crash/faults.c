/* A layer between a program and the kernel, for LD_PRELOAD: what is done to the files below one folder is counted,
 * written to a log, and fails, or ends the program, at a chosen number.
 *
 *   FAULT_ROOT   the folder
 *   FAULT_LOG    a file to which every operation is appended (see power.py), or nothing
 *   FAULT_MODE   kill: end before the operation; torn: end when half of it is written; else the errno it fails with
 *   FAULT_AT     the operation's number, from 1; 0 for none
 *   FAULT_MORE   1: every later operation that needs room fails too, as on a full disk
 *   FAULT_CLOCK  seconds by which the clock goes back whenever it is looked at
 *
 * A process that was forked calls fault_arm() instead. Code that makes system calls itself, and mapped memory, are
 * not seen: of kosearch's parts, one rename in Tantivy, and SQLite's -shm file, which a crash may lose.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FILES 4096
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static char root[PATH_MAX];
static size_t root_length;
static char *paths[FILES];
static int log_file = -1, mode, more, full;
static long at, count, clock_step, clock_looks;

enum { KILL = -1, TORN = -2 };

void fault_arm(const char *folder, const char *log, const char *how, long number, int again) {
    snprintf(root, sizeof root, "%s", folder);
    root_length = strlen(root);
    log_file = log && *log ? (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    mode = !strcmp(how, "kill") ? KILL : !strcmp(how, "torn") ? TORN : atoi(how);
    at = number, more = again, count = 0, full = 0;
}

long fault_count(void) { return count; }

void fault_clock(long seconds) { clock_step = seconds; }

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && clock == CLOCK_REALTIME && clock_step)
        now->tv_sec -= clock_step * __atomic_add_fetch(&clock_looks, 1, __ATOMIC_SEQ_CST);
    return failed;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result)
        *result = now.tv_sec;
    return now.tv_sec;
}

__attribute__((constructor)) static void begin(void) {
    const char *folder = getenv("FAULT_ROOT");
    if (folder)
        fault_arm(folder, getenv("FAULT_LOG"), getenv("FAULT_MODE") ?: "0", atol(getenv("FAULT_AT") ?: "0"),
                  atoi(getenv("FAULT_MORE") ?: "0"));
    fault_clock(atol(getenv("FAULT_CLOCK") ?: "0"));
}

static int below(const char *path) {
    return root_length && !strncmp(path, root, root_length) && (!path[root_length] || path[root_length] == '/');
}

/* The path that a call names, if it lies below the folder. */
static const char *named(int folder, const char *path, char *buffer) {
    if (path[0] == '/')
        snprintf(buffer, PATH_MAX, "%s", path);
    else if (folder >= 0 && folder < FILES && paths[folder])
        snprintf(buffer, PATH_MAX, "%s/%s", paths[folder], path);
    else
        return NULL;
    return below(buffer) ? buffer : NULL;
}

static void note(char kind, uint64_t inode, uint64_t offset, const void *data, uint32_t size) {
    if (log_file < 0)
        return;
    char *record = malloc(21 + size);
    record[0] = kind;
    memcpy(record + 1, &inode, 8), memcpy(record + 9, &offset, 8), memcpy(record + 17, &size, 4);
    if (size)
        memcpy(record + 21, data, size);
    if (syscall(SYS_write, log_file, record, 21 + size) < 0)
        abort();
    free(record);
}

/* For the program under test: a mark between its operations. */
void fault_mark(const char *text) { note('C', 0, 0, text, strlen(text)); }

static uint64_t inode_of(int file) {
    struct stat status;
    return fstat(file, &status) ? 0 : status.st_ino;
}

static uint64_t inode_at(const char *path) {
    struct stat status;
    return lstat(path, &status) ? 0 : status.st_ino;
}

static void end(void) { syscall(SYS_kill, getpid(), SIGKILL); }

enum { ROOM = 1, TEARS = 2 };

/* Count an operation. Returns what it fails with: 0 for nothing, TORN where half of it is to be done first. */
static int due(int kind) {
    long number = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
    if (full && kind & ROOM)
        return mode;
    if (!at || number != at)
        return 0;
    if (mode == KILL || (mode == TORN && !(kind & TEARS)))
        end();
    full = more;
    return mode;
}

static void keep(int file, const char *path) {
    if (file >= 0 && file < FILES) {
        free(paths[file]);
        paths[file] = path ? strdup(path) : NULL;
    }
}

static const char *path_of(int file) { return file >= 0 && file < FILES ? paths[file] : NULL; }

static int opened(int file, const char *path, int flags, int created) {
    if (file >= 0 && path) {
        keep(file, path);
        note('O', inode_of(file), (created ? 1 : 0) | (flags & O_TRUNC ? 2 : 0), path, strlen(path));
    }
    return file;
}

static int do_open(int folder, const char *name, int flags, mode_t access_mode) {
    char buffer[PATH_MAX];
    const char *path = named(folder, name, buffer);
    int created = path && (flags & O_CREAT) && access(path, F_OK);
    if (created || (path && (flags & O_TRUNC))) {
        int error = due(ROOM);
        if (error > 0)
            return errno = error, -1;
    }
    int file = REAL(openat)(folder, name, flags, access_mode);
    return opened(file, path, flags, created);
}

#define OPEN(signature, folder)                                                                                       \
    signature {                                                                                                       \
        mode_t access_mode = 0;                                                                                       \
        if (flags & (O_CREAT | O_TMPFILE)) {                                                                          \
            va_list rest;                                                                                             \
            va_start(rest, flags);                                                                                    \
            access_mode = va_arg(rest, mode_t);                                                                       \
            va_end(rest);                                                                                             \
        }                                                                                                             \
        return do_open(folder, name, flags, access_mode);                                                             \
    }
OPEN(int open(const char *name, int flags, ...), AT_FDCWD)
OPEN(int open64(const char *name, int flags, ...), AT_FDCWD)
OPEN(int openat(int folder, const char *name, int flags, ...), folder)
OPEN(int openat64(int folder, const char *name, int flags, ...), folder)

static FILE *do_fopen(FILE *(*real)(const char *, const char *), const char *name, const char *how) {
    char buffer[PATH_MAX];
    const char *path = named(AT_FDCWD, name, buffer);
    int writes = how[0] == 'w', created = path && writes && access(path, F_OK);
    if (path && writes) {
        int error = due(ROOM);
        if (error > 0)
            return errno = error, NULL;
    }
    FILE *stream = real(name, how);
    if (stream)
        opened(fileno(stream), path, writes ? O_TRUNC : 0, created);
    return stream;
}
FILE *fopen(const char *name, const char *how) { return do_fopen(REAL(fopen), name, how); }
FILE *fopen64(const char *name, const char *how) { return do_fopen(REAL(fopen64), name, how); }

int close(int file) {
    keep(file, NULL);
    return REAL(close)(file);
}

/* A write of `size` bytes at `offset`, -1 for where the file stands. */
static ssize_t do_write(int file, const void *data, size_t size, off_t offset) {
    const char *path = path_of(file);
    if (path) {
        int error = due(ROOM | TEARS);
        if (error > 0)
            return errno = error, -1;
        off_t place = offset < 0 ? lseek(file, 0, SEEK_CUR) : offset;
        if (error == TORN) {
            if (syscall(SYS_pwrite64, file, data, size / 2, place) >= 0)
                end();
        }
        note('W', inode_of(file), place, data, size);
    }
    return offset < 0 ? syscall(SYS_write, file, data, size) : syscall(SYS_pwrite64, file, data, size, offset);
}
ssize_t write(int file, const void *data, size_t size) { return do_write(file, data, size, -1); }
ssize_t pwrite(int file, const void *data, size_t size, off_t offset) { return do_write(file, data, size, offset); }
ssize_t pwrite64(int file, const void *data, size_t size, off64_t offset) { return do_write(file, data, size, offset); }

ssize_t writev(int file, const struct iovec *parts, int number) {
    if (!path_of(file))
        return REAL(writev)(file, parts, number);
    for (int i = 0; i < number; i++) /* the first part that is not empty: callers go on after a short write */
        if (parts[i].iov_len)
            return write(file, parts[i].iov_base, parts[i].iov_len);
    return 0;
}

static int do_truncate(int file, off_t size) {
    if (path_of(file)) {
        int error = due(ROOM);
        if (error > 0)
            return errno = error, -1;
        note('T', inode_of(file), size, NULL, 0);
    }
    return (int)syscall(SYS_ftruncate, file, size);
}
int ftruncate(int file, off_t size) { return do_truncate(file, size); }
int ftruncate64(int file, off64_t size) { return do_truncate(file, size); }

/* What a folder holds when it is made durable: path, then name and inode of each entry, between zeros. */
static void note_folder(int file, const char *path) {
    DIR *folder = opendir(path);
    if (!folder)
        return;
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    fprintf(stream, "%s%c", path, 0);
    for (struct dirent *entry; (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            fprintf(stream, "%s%c%lu%c%d%c", entry->d_name, 0, (unsigned long)entry->d_ino, 0, entry->d_type == DT_DIR, 0);
    fclose(stream);
    closedir(folder);
    note('D', inode_of(file), 0, text, size);
    free(text);
}

static int do_sync(int file, int (*real)(int)) {
    const char *path = path_of(file);
    if (path) {
        int error = due(0);
        if (error > 0)
            return errno = error, -1;
        struct stat status;
        if (!fstat(file, &status) && S_ISDIR(status.st_mode))
            note_folder(file, path);
        else
            note('S', inode_of(file), 0, NULL, 0);
    }
    return real(file);
}
int fsync(int file) { return do_sync(file, REAL(fsync)); }
int fdatasync(int file) { return do_sync(file, REAL(fdatasync)); }

static int do_change(char kind, int folder, const char *name, int to_folder, const char *to, int needs_room) {
    char buffer[PATH_MAX], other[PATH_MAX], both[2 * PATH_MAX];
    const char *path = named(folder, name, buffer), *target = to ? named(to_folder, to, other) : NULL;
    if (!path && !target)
        return 0;
    int error = due(needs_room ? ROOM : 0);
    if (error > 0)
        return error;
    path = path ?: name, target = target ?: "";
    int size = snprintf(both, sizeof both, "%s%c%s", path, 0, target);
    note(kind, inode_at(path), 0, both, size);
    return 0;
}

#define CHANGE(kind, signature, call, folder, name, to_folder, to, room)                                               \
    signature {                                                                                                       \
        int error = do_change(kind, folder, name, to_folder, to, room);                                               \
        return error ? (errno = error, -1) : call;                                                                    \
    }
CHANGE('R', int rename(const char *a, const char *b), REAL(rename)(a, b), AT_FDCWD, a, AT_FDCWD, b, 1)
CHANGE('R', int renameat(int f, const char *a, int g, const char *b), REAL(renameat)(f, a, g, b), f, a, g, b, 1)
CHANGE('L', int link(const char *a, const char *b), REAL(link)(a, b), AT_FDCWD, a, AT_FDCWD, b, 1)
CHANGE('L', int linkat(int f, const char *a, int g, const char *b, int h), REAL(linkat)(f, a, g, b, h), f, a, g, b, 1)
CHANGE('U', int unlink(const char *a), REAL(unlink)(a), AT_FDCWD, a, AT_FDCWD, NULL, 0)
CHANGE('U', int unlinkat(int f, const char *a, int h), REAL(unlinkat)(f, a, h), f, a, AT_FDCWD, NULL, 0)
CHANGE('U', int rmdir(const char *a), REAL(rmdir)(a), AT_FDCWD, a, AT_FDCWD, NULL, 0)
CHANGE('M', int mkdir(const char *a, mode_t m), REAL(mkdir)(a, m), AT_FDCWD, a, AT_FDCWD, NULL, 1)
CHANGE('M', int mkdirat(int f, const char *a, mode_t m), REAL(mkdirat)(f, a, m), f, a, AT_FDCWD, NULL, 1)
