// Work in a child process, on systems that fork.
#pragma once

#if !defined(_WIN32)
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

// Calls work() in a forked child, which must end by itself.
template <class Work> void check_in_child(const char* where, Work work) {
    std::fflush(nullptr);
    const pid_t child = fork();
    CHECK(child >= 0, "no process");
    if (child == 0) {
        alarm(120);  // ends a child that waits for a lock without an owner, or for threads that it does not have
        work();
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child, "no child");
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a child forked %s ended with status %d", where, status);
}
#endif
