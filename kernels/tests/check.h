// CHECK says what failed, where, and in which case; the program goes on and fails at its end.
#pragma once

#include <cmath>
#include <cstdio>
#include <string>

namespace throughtime {

inline int num_checks = 0, num_failures = 0;

inline void check(bool holds, const char* file, int line, const std::string& what) {
    ++num_checks;
    if (holds) return;
    ++num_failures;
    std::printf("%s:%d: failed: %s\n", file, line, what.c_str());
}

#define CHECK(condition, where) \
    check(condition, __FILE__, __LINE__, std::string(#condition " in ") + (where))

}  // namespace throughtime
