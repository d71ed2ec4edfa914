// Numbers below the smallest normal one (1.2e-38 in float) cost many processors a hundred times as
// much as others, and a state that decays passes through them. For as long as a kernel runs they
// count as 0, on its own threads and on the caller's, whose setting is then restored.
#pragma once

#include <cstdint>

namespace throughtime {

// The register that says, per thread, what becomes of such numbers, and its bits that say "0".
#if defined(__x86_64__)
constexpr std::uint64_t flush_bits = 1 << 15 | 1 << 6;  // results; operands
inline std::uint64_t read_control() {
    return __builtin_ia32_stmxcsr();
}
inline void write_control(std::uint64_t value) {
    __builtin_ia32_ldmxcsr(unsigned(value));
}
#elif defined(__aarch64__)
constexpr std::uint64_t flush_bits = 1 << 24;  // both
inline std::uint64_t read_control() {
    std::uint64_t value;
    asm volatile("mrs %0, fpcr" : "=r"(value));
    return value;
}
inline void write_control(std::uint64_t value) {
    asm volatile("msr fpcr, %0" : : "r"(value));
}
#else
constexpr std::uint64_t flush_bits = 0;
inline std::uint64_t read_control() {
    return 0;
}
inline void write_control(std::uint64_t) {}
#endif

class FlushDenormals {
  public:
    FlushDenormals() : before_(read_control()) { write_control(before_ | flush_bits); }
    FlushDenormals(const FlushDenormals&) = delete;
    FlushDenormals& operator=(const FlushDenormals&) = delete;
    ~FlushDenormals() { write_control(before_); }

  private:
    std::uint64_t before_;
};

}  // namespace throughtime
