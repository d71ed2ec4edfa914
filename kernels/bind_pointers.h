// Tensors as Python hands them over: lists of addresses.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <string>
#include <vector>

namespace throughtime {

using Address = std::uintptr_t;  // of a tensor's first element, or 0

template <class Real>
Real* pointer(Address address) {
    return reinterpret_cast<Real*>(address);
}

// Hands out pointers from a list of addresses, in order.
template <class Real>
class Pointers {
  public:
    explicit Pointers(const std::vector<Address>& addresses) : next_(addresses.data()) {}
    Real* operator()() { return pointer<Real>(*next_++); }

  private:
    const Address* next_;
};

inline void check_count(const char* what, const std::vector<Address>& addresses,
                        std::size_t count) {
    if (addresses.size() == count) return;
    throw nanobind::value_error((std::string(what) + " must be " + std::to_string(count) +
                                 " addresses, got " + std::to_string(addresses.size()) + ".")
                                    .c_str());
}

}  // namespace throughtime
