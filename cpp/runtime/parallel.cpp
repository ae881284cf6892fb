#include "parallel.h"

#include <algorithm>
#include <array>

#include "chunk_ranges.h"
#include "float_mode.h"
#include "thread_pool.h"

namespace bitdrop {
namespace {

// Work of a team. If fewer threads come than were asked for, those that do come take all the ranges.
class TeamWork {
public:
    static constexpr int kMaxThreads = 64;

    TeamWork(uint64_t chunks, int threads, Task task, void* context)
        : threads_(std::min(threads, kMaxThreads)), task_(task), context_(context) {
        divide_chunks(&ranges_, threads_, chunks);
    }

    void run(Team team) { team(join, this, static_cast<unsigned>(threads_), 0); }

private:
    static void join(void* team_work) {
        DefaultFloatMode mode;  // another library's thread has a mode of its own
        TeamWork& work = *static_cast<TeamWork*>(team_work);
        const int self = work.arrived_.fetch_add(1);
        if (self < work.threads_) work_on_chunks(&work.ranges_, work.threads_, self, work.task_, work.context_);
    }

    std::array<ChunkRange, kMaxThreads> ranges_;
    std::atomic<int> arrived_{0};
    const int threads_;
    const Task task_;
    void* const context_;
};

}  // namespace

Parallelism choose_parallelism(uint64_t elements, uint64_t min_elements_per_thread, Threads threads) {
    const uint64_t useful = std::max<uint64_t>(elements / min_elements_per_thread, 1);
    const uint64_t used = std::min(useful, static_cast<uint64_t>(std::max(threads.limit, 1)));
    return {static_cast<int>(used), elements / used / min_elements_per_thread, threads.team};
}

void parallel_for(uint64_t chunks, Parallelism parallelism, Task task, void* context) {
    if (parallelism.threads > 1 && chunks > 1) {
        if (parallelism.team) return TeamWork(chunks, parallelism.threads, task, context).run(parallelism.team);
        if (run_on_workers(chunks, parallelism, task, context)) return;
    }
    for (uint64_t chunk = 0; chunk < chunks; ++chunk) task(context, chunk);
}

}  // namespace bitdrop
