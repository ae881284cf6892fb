// Floating-point mode: the mode of the caller changes no result on any thread, and is restored.
#include <atomic>
#include <cfenv>
#include <thread>
#include <vector>

#include "calls.h"
#include "engine/dispatch.h"
#include "random_case.h"
#include "runtime/float_mode.h"
#include "runtime/thread_pool.h"

#if defined(BITDROP_MXCSR)
#include <xmmintrin.h>
#endif

using namespace bitdrop;

namespace {

// WebAssembly has no other mode than the default, with or without the names of others.
#if defined(FE_UPWARD)
constexpr int kRoundings[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
constexpr int kHostile = FE_UPWARD;
#else
constexpr int kRoundings[] = {FE_TONEAREST};
constexpr int kHostile = FE_TONEAREST;
#endif

constexpr uint64_t kWork = 1;  // worth waking a worker

// Rounding direction, flush-to-zero and denormals-are-zero of the calling thread, as the machine keeps them.
struct Mode {
    int rounding;
    bool flushes;

    void set() const {
        std::fesetround(rounding);
#if defined(BITDROP_MXCSR)
        const unsigned both = _MM_FLUSH_ZERO_ON | 0x40;  // FTZ, DAZ
        _mm_setcsr(flushes ? _mm_getcsr() | both : _mm_getcsr() & ~both);
#elif defined(__aarch64__)
        uint64_t fpcr;
        __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
        const uint64_t all = uint64_t{1} << 26 | uint64_t{1} << 24;  // AHP (halves without infinities), FZ
        fpcr = flushes ? fpcr | all : fpcr & ~all;
        __asm__ volatile("msr fpcr, %0" : : "r"(fpcr));
#endif
    }
};

// The whole control register if there is one, without status flags.
uint64_t control_word() {
#if defined(BITDROP_MXCSR)
    return _mm_getcsr() & ~0x3Fu;
#elif defined(__aarch64__)
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return fpcr;
#else
    return static_cast<uint64_t>(std::fegetround());
#endif
}

const uint64_t kDefaultControl = control_word();

std::vector<Mode> modes() {
    std::vector<Mode> list;
    for (const int rounding : kRoundings)
        for (const bool flushes : {false, true}) list.push_back({rounding, flushes});
    return list;
}

// Two threads. Each must have a chunk before either may finish.
struct Meeting {
    std::atomic<int> arrived{0};
    std::atomic<int> in_default_mode{0};

    static void attend(void* context, uint64_t) {
        Meeting& self = *static_cast<Meeting*>(context);
        if (control_word() == kDefaultControl) ++self.in_default_mode;
        ++self.arrived;
        while (self.arrived < 2) std::this_thread::yield();
    }
};

// Runs first, so that a thread in another mode creates the worker, which inherits the mode.
void check_workers_have_default_mode() {
    const Mode hostile = {kHostile, true};
    hostile.set();
    const int expected = control_word() == kDefaultControl ? 2 : 1;  // the caller too, if there is no other mode
    Meeting meeting;
    parallel_for(2, {2, kWork}, Meeting::attend, &meeting);
    CHECK(meeting.in_default_mode == expected, "%d threads are in the default mode, not %d",
          meeting.in_default_mode.load(), expected);
    Mode{FE_TONEAREST, false}.set();
}

// Threads of another library, in another mode, that do all the work.
void hostile_team(void (*work)(void*), void* data, unsigned, unsigned) {
    std::thread([=] {
        Mode{kHostile, true}.set();
        work(data);
    }).join();
    work(data);
}

struct Results {
    std::vector<unsigned char> y, noisy, bits, more_bits;
    uint64_t thresholds;

    bool operator==(const Results& other) const {
        return y == other.y && noisy == other.noisy && bits == other.bits && more_bits == other.more_bits &&
               thresholds == other.thresholds;
    }
};

Results compute(const Kernels& kernels, DType dtype, const std::vector<unsigned char>& x, Threads threads) {
    const int64_t item = static_cast<int64_t>(kItemSize[static_cast<int>(dtype)]);
    const int64_t count = static_cast<int64_t>(x.size()) / item;
    const size_t bit_bytes = (static_cast<size_t>(count) + 7) / 8;
    const std::vector<unsigned char> elements_of_0(x.size()), bits_of_0(bit_bytes);
    Results r = {elements_of_0, elements_of_0, bits_of_0, bits_of_0, 0};
    const Plan plan = make_plan(1, 2, 3, 0.1);
    const uint64_t elements = static_cast<uint64_t>(count);
    drop({&kernels, threads}, contiguous_operands(dtype, r.y.data(), x.data(), elements), {1 / 0.9}, plan,
         r.bits.data());
    generate_bits(kernels, plan, contiguous_box(77, elements), r.more_bits.data(), threads);
    static const NoisePlan noise_plan = make_noise_plan(1, 2, 3, 0.1);  // in the default mode
    noise({&kernels, threads}, contiguous_operands(dtype, r.noisy.data(), x.data(), elements), noise_plan, 77);
    for (const double p : {0.1, 1.0 / 3, 0x1.8p-64, 0x1.7p-64, 0x1p-65, 0x1.921fb54442d18p-14, 0x1p-1040})
        r.thresholds = mix(r.thresholds ^ make_plan(0, 0, 0, p).threshold);
    return r;
}

// Denormals, and products that are not exact.
std::vector<unsigned char> inputs(DType dtype) {
    const size_t item = kItemSize[static_cast<int>(dtype)];
    std::vector<unsigned char> x(item * 300001);
    for (size_t i = 0; i < x.size() / item; ++i) {
        const uint64_t element = golden_element(dtype, i);
        const int mantissa_bits[kDTypes] = {10, 7, 23, 52};
        const uint64_t mantissa = (uint64_t{1} << mantissa_bits[static_cast<int>(dtype)]) - 1;
        put_element(x.data() + i * item, item, i % 3 ? element : element & mantissa);
    }
    return x;
}

void check_results(const Kernels& kernels, DType dtype) {
    const std::vector<unsigned char> x = inputs(dtype);
    const Results want = compute(kernels, dtype, x, 1);
    for (const Mode& mode : modes())
        for (const Threads threads : {Threads{1}, Threads{3}, Threads{3, hostile_team}}) {
            mode.set();
            const uint64_t before = control_word();
            const Results got = compute(kernels, dtype, x, threads);
            const uint64_t after = control_word();
            Mode{FE_TONEAREST, false}.set();
            CHECK(got == want, "%s, %s, rounding %d, flushing %d, %d threads, a team's: %d", kernels.name,
                  kDTypeName[static_cast<int>(dtype)], mode.rounding, mode.flushes, threads.limit,
                  threads.team != nullptr);
            CHECK(before == after, "%s left control word %llx, not %llx", kernels.name,
                  static_cast<unsigned long long>(after), static_cast<unsigned long long>(before));
        }
}

}  // namespace

int main() {
    set_waking_factor(1);  // use several threads for small arrays
    check_workers_have_default_mode();
    for (const Kernels* kernels : available_kernels())
        for (int code = 0; code < kDTypes; ++code) check_results(*kernels, static_cast<DType>(code));
}
