// Worker threads that live as long as the process.
#pragma once

#include <cstdint>

namespace bitdrop {

// Calls task(context, chunk) once for each chunk in [0, chunks), on the caller and up to threads - 1 workers,
// and returns when all are done. Each thread has neighbouring chunks of its own, and then helps the others with
// theirs. If the workers are busy with another caller's chunks, the caller does all of its own. The task must not
// throw.
void run_chunks(uint64_t chunks, int threads, void (*task)(void* context, uint64_t chunk), void* context);

}  // namespace bitdrop
