// What this process may use of the machine, as Linux tells it. Free of torch. root is put before all paths, for tests.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

namespace torchcrop_fast {

// The least of `most` and the limits in a file of this name, in a cgroup of this path under `mount` and all around it.
inline int64_t cgroup_limit(const std::string& mount, std::string path, const char* file, int64_t most) {
  for (;;) {
    int64_t limit = 0;
    if (std::ifstream(mount + path + "/" + file) >> limit && limit > 0) {
      most = std::min(most, limit);
    }
    if (path.empty()) {
      return most;
    }
    path.erase(path.find_last_of('/'));
  }
}

// The bytes of memory that the process may use: the machine's, or less where a cgroup of the process or its limit of
// address space says so.
inline int64_t usable_memory(const std::string& root = "") {
  int64_t bytes = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  rlimit space{};
  if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur < static_cast<rlim_t>(bytes)) {
    bytes = static_cast<int64_t>(space.rlim_cur);
  }
  const std::string mount = root + "/sys/fs/cgroup";
  std::ifstream cgroups(root + "/proc/self/cgroup");  // lines of "number:controllers:/path"
  for (std::string line; std::getline(cgroups, line);) {
    const size_t controllers = line.find(':') + 1, path = line.find(":/", controllers) + 1;
    if (controllers == 0 || path == 0) {
      continue;
    }
    const std::string of = "," + line.substr(controllers, path - 1 - controllers) + ",";
    const std::string below = line.size() > path + 1 ? line.substr(path) : "";
    if (of == ",,") {  // version 2
      bytes = cgroup_limit(mount, below, "memory.max", bytes);
    } else if (of.find(",memory,") != std::string::npos) {
      bytes = cgroup_limit(mount + "/memory", below, "memory.limit_in_bytes", bytes);
    }
  }
  return bytes;
}

// The CPUs in a list such as 0-3,8.
inline int64_t count_cpus(std::string_view list) {
  int64_t count = 0;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    const char* const end = list.data() + comma;
    int64_t first = 0;
    const char* const dash = std::from_chars(list.data(), end, first).ptr;
    int64_t last = first;
    if (dash != end) {
      std::from_chars(dash + 1, end, last);
    }
    count += last - first + 1;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return count;
}

// The bytes of the last-level cache that can be counted on: those that Linux tells, but no more than 16 MiB for each
// CPU that shares it, which is what the largest known have. A guest of a large server is told all of the server's, of
// which its CPUs get a share. (Not sysconf's: glibc counts it many times over on virtual machines.)
inline int64_t last_level_cache(const std::string& root = "") {
  const std::string cache = root + "/sys/devices/system/cpu/cpu0/cache/index3/";
  int64_t kib = 0;
  std::string cpus;
  if (!(std::ifstream(cache + "size") >> kib) || kib <= 0) {
    return int64_t{32} << 20;
  }
  const bool told = static_cast<bool>(std::ifstream(cache + "shared_cpu_list") >> cpus);
  return std::min(kib << 10, (told ? count_cpus(cpus) : 2) * (int64_t{16} << 20));
}

}  // namespace torchcrop_fast
