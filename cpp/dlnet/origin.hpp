// Where something was made. A fork takes memory along, but not the threads at work in it: what has
// threads, or was in the middle of something, cannot go on in the new process.
#pragma once

#include <unistd.h>

#include <stdexcept>
#include <string>

namespace dlnet {

class Origin {
 public:
  bool is_here() const { return getpid() == process_; }

  void require_here() const {
    if (is_here()) return;
    throw std::runtime_error("begun in process " + std::to_string(process_) +
                             ", which has the threads and goes on with it: process " +
                             std::to_string(getpid()) +
                             " was forked in the middle and has to begin a run of its own");
  }

 private:
  pid_t process_ = getpid();
};

}  // namespace dlnet
