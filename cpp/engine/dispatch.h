// Kernels that this machine can run, and the ones in use.
#pragma once

#include <string>
#include <vector>

#include "../kernels/kernel_table.h"

namespace bitdrop {

// Kernels whose features CPU and operating system provide, best first. Never empty: scalar runs everywhere.
const std::vector<const Kernels*>& available_kernels();

// Null if there is no such name, or the machine cannot run it.
const Kernels* find_kernels(const std::string& name);

const Kernels& active_kernels();  // the best, until set
void set_active_kernels(const Kernels& kernels);

}  // namespace bitdrop
