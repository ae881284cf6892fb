// Named arguments for the engine with its defaults, and a team of threads.
#pragma once

#include <thread>
#include <vector>

#include "engine.h"

inline bitdrop::Run make_run(void* dst, const void* src, uint64_t count, uint64_t index, uint8_t* bits, double scale,
                             bool streaming = false) {
    bitdrop::Run run = {};
    run.dst = dst;
    run.src = src;
    run.count = count;
    run.index = index;
    run.bits = bits;
    run.scale = scale;
    run.streaming = streaming;
    return run;
}

// A job without axes yet. A null plan applies `bits`.
inline bitdrop::Job make_job(const bitdrop::Kernels& kernels, const bitdrop::Plan* plan, bitdrop::DType dtype,
                             const void* src, void* dst, uint8_t* bits, double scale, bitdrop::Threads threads) {
    bitdrop::Job job = {};
    job.kernels = &kernels;
    job.plan = plan;
    job.dtype = dtype;
    job.src = src;
    job.dst = dst;
    job.bits = bits;
    job.scale = scale;
    job.threads = threads;
    return job;
}

// Stand-in for an OpenMP runtime: own threads, as many as requested, one less, or one more.
template <int more> void team(void (*work)(void*), void* data, unsigned threads, unsigned) {
    std::vector<std::thread> others;
    for (int other = 1; other < static_cast<int>(threads) + more; ++other) others.emplace_back(work, data);
    work(data);
    for (std::thread& other : others) other.join();
}
