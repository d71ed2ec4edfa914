// A packed copy of a layer's weights that lives from call to call and is renewed when the weights
// have changed. Changes are told from the weights' bytes: a version number would miss those made
// through `parameter.data`, and comparing costs one step's worth of reading.
#pragma once

#include <atomic>
#include <cstdint>

#include "memory.h"

namespace throughtime {

class PackedCopy {
  public:
    // A copy that nobody changes while this object lives.
    class Use {
      public:
        explicit Use(PackedCopy& copy) : shared_(&copy) {}
        explicit Use(Buffer own) : own_(std::move(own)) {}
        Use(Use&& other) noexcept
            : shared_(std::exchange(other.shared_, nullptr)), own_(std::move(other.own_)) {}
        Use& operator=(Use&&) = delete;
        ~Use() {
            if (shared_) shared_->users_.fetch_sub(1, std::memory_order_release);
        }
        const void* data() const { return shared_ ? shared_->buffer_.data() : own_.data(); }

      private:
        PackedCopy* shared_ = nullptr;
        Buffer own_;
    };

    // The copy of the weights as they are now: fingerprint() tells them from others and
    // pack(void* to) copies them where no copy of theirs is kept.
    // Nobody ever waits here: who finds the copy of other weights in use packs one of its own.
    template <class Fingerprint, class Pack>
    Use use(Fingerprint fingerprint, std::size_t bytes, Pack pack) {
        const std::uint64_t now = fingerprint();
        if (join()) {
            if (is_whole_ && now == fingerprint_ && bytes == buffer_.bytes()) return Use(*this);
            users_.fetch_sub(1, std::memory_order_release);
        }
        int nobody = 0;
        if (users_.compare_exchange_strong(nobody, -1, std::memory_order_acquire)) {
            Writing writing{*this};
            is_whole_ = false;
            if (bytes != buffer_.bytes()) buffer_ = Buffer(bytes);
            pack(buffer_.data());
            fingerprint_ = now;
            // Another thread may have written weights meanwhile, and may restore them: this mix
            // of both must then not pass for either.
            is_whole_ = fingerprint() == now;
            writing.users = 1;
            return Use(*this);
        }
        Buffer own(bytes);
        pack(own.data());
        return Use(std::move(own));
    }

  private:
    // Ends the time in which the copy is written, also where memory for it is not to be had: then
    // without a user.
    struct Writing {
        PackedCopy& copy;
        int users = 0;
        ~Writing() { copy.users_.store(users, std::memory_order_release); }
    };

    // Counts one more user, unless the copy is being written.
    bool join() {
        int users = users_.load(std::memory_order_relaxed);
        while (users >= 0) {
            if (users_.compare_exchange_weak(users, users + 1, std::memory_order_acquire))
                return true;
        }
        return false;
    }

    std::atomic<int> users_{0};  // or -1 while it is written
    std::uint64_t fingerprint_ = 0;
    bool is_whole_ = false;  // of weights that stood still while they were copied
    Buffer buffer_;
};

}  // namespace throughtime
