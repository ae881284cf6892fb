// Which kernels this machine can run, and which are in use.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernel_table.h"

namespace bitdrop {

// Kernels that the CPU and the operating system allow, best first. Never empty: scalar runs everywhere.
const std::vector<const Kernels*>& available_kernels();

// Null where there is no such name, or the machine cannot run it.
const Kernels* find_kernels(const std::string& name);

const Kernels& active_kernels();  // the best, until set
void set_active_kernels(const Kernels& kernels);

}  // namespace bitdrop
