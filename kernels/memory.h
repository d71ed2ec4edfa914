// Memory for workspaces and packed weights.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

namespace throughtime {

constexpr std::size_t huge_page = std::size_t(2) << 20;

// Asks for huge pages where a large buffer has not been touched yet: its first use then costs one
// fault per 2 MB instead of 512. Only a hint.
inline void advise_huge_pages(void* buffer, std::size_t bytes) {
#ifdef MADV_HUGEPAGE
    const auto address = reinterpret_cast<std::uintptr_t>(buffer);
    const std::uintptr_t begin = (address + huge_page - 1) / huge_page * huge_page;
    const std::uintptr_t end = (address + bytes) / huge_page * huge_page;
    if (buffer && begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
    (void)buffer, (void)bytes;
#endif
}

// Bytes that begin at a cache line, or at a huge page if they fill one.
class Buffer {
  public:
    explicit Buffer(std::size_t bytes = 0) : bytes_(bytes) {
        if (bytes == 0) return;
        const std::size_t line = bytes < huge_page ? 64 : huge_page;
        data_ = std::aligned_alloc(line, (bytes + line - 1) / line * line);
        if (!data_) throw std::bad_alloc();
        advise_huge_pages(data_, bytes);
    }
    Buffer(Buffer&& other) noexcept { *this = std::move(other); }
    Buffer& operator=(Buffer&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    ~Buffer() { std::free(data_); }

    void* data() const { return data_; }
    std::size_t bytes() const { return bytes_; }

  private:
    void* data_ = nullptr;
    std::size_t bytes_ = 0;
};

// Room for one call. The largest that a thread has used, up to 64 MB, waits for its next call,
// since fresh memory is cleared by the system page by page, which takes longer than a small layer.
class Workspace {
  public:
    explicit Workspace(std::size_t bytes) : buffer_(std::move(kept())) {
        if (buffer_.bytes() < bytes) buffer_ = Buffer(bytes);
    }
    Workspace(Workspace&&) noexcept = default;
    ~Workspace() {
        constexpr std::size_t most_kept = std::size_t(64) << 20;
        if (buffer_.bytes() > kept().bytes() && buffer_.bytes() <= most_kept) {
            kept() = std::move(buffer_);
        }
    }

    void* data() const { return buffer_.data(); }

  private:
    static Buffer& kept() {
        thread_local Buffer buffer;
        return buffer;
    }

    Buffer buffer_;
};

}  // namespace throughtime
