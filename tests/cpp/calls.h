// Arguments for the engine by name: what a test leaves out has the engine's own default.
#pragma once

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
                             const void* src, void* dst, uint8_t* bits, double scale, int threads) {
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
