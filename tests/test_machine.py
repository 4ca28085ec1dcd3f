"""How much memory is kept, and when: what Linux tells of the machine and the process, and memory that runs out."""

import contextlib
import os
import subprocess
from pathlib import Path

import pytest
from builds import ROOT, compiled

MB, GB = 1 << 20, 1 << 30
ALL = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE")


@pytest.fixture
def machine(tmp_path):
    """Gives usable memory and last-level cache on a machine of these files, maybe under a limit of address space."""
    program = compiled("machine", ["g++", "-std=c++20", "-fsanitize=undefined", ROOT / "tests/cpp/machine.cpp"])

    def ask(files: dict[str, str], address_space: str = "unlimited") -> list[int]:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        command = ["sh", "-c", f'ulimit -v {address_space} && exec "$0" "$1"', program, tmp_path]
        return list(map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()))

    return ask


V2, V1 = "sys/fs/cgroup", "sys/fs/cgroup/memory"


@pytest.mark.parametrize(
    ("files", "usable"),
    [
        ({}, ALL),
        ({"proc/self/cgroup": "0::/"}, ALL),
        ({"proc/self/cgroup": "0::/", f"{V2}/memory.max": "2000000000"}, 2_000_000_000),
        ({"proc/self/cgroup": "0::/", f"{V2}/memory.max": "max"}, ALL),
        ({"proc/self/cgroup": "0::/a/b", f"{V2}/a/b/memory.max": "1000000000"}, 1_000_000_000),
        (
            {"proc/self/cgroup": "0::/a/b", f"{V2}/a/b/memory.max": "max", f"{V2}/a/memory.max": "900000000"},
            900_000_000,
        ),
        ({"proc/self/cgroup": "0::/a/b", f"{V2}/c/memory.max": "1000"}, ALL),
        (
            {
                "proc/self/cgroup": "9:cpu,cpuacct:/x\n4:hugetlb,memory:/a:b/c\n0::/",
                f"{V1}/a:b/memory.limit_in_bytes": "700000000",
                f"{V1}/x/memory.limit_in_bytes": "1000",
                f"{V1}/memory.limit_in_bytes": "9223372036854771712",
            },
            700_000_000,
        ),
        ({"proc/self/cgroup": "4:memory:/c", f"{V1}/c/memory.limit_in_bytes": "0"}, ALL),
        ({"proc/self/cgroup": "no line of a cgroup\n\n:\n4:memory"}, ALL),
    ],
)
def test_usable_memory_is_the_least_that_any_cgroup_around_the_process_leaves(machine, files, usable):
    assert machine(files)[0] == usable


def test_usable_memory_is_at_most_the_address_space(machine):
    assert machine({}, address_space=str(3 * GB >> 10))[0] == min(3 * GB, ALL)
    files = {"proc/self/cgroup": "0::/", f"{V2}/memory.max": str(2 * GB)}
    assert machine(files, address_space=str(3 * GB >> 10))[0] == min(2 * GB, ALL)


CACHE = "sys/devices/system/cpu/cpu0/cache/index3"


@pytest.mark.parametrize(
    ("size", "cpus", "mib"),
    [
        ("8192K", "0-1", 8),
        ("32768K", "0-1", 32),
        ("266240K", "0-1", 32),  # what a large server tells a guest
        ("266240K", "0-31,64-95", 260),
        ("266240K", "3,8", 32),
        ("266240K", "7", 16),
        ("98304K", "0-7", 96),
        ("266240K", None, 32),
        (None, "0-1", 32),
        ("unknown", "0-1", 32),
        ("0K", "0-1", 32),
    ],
)
def test_last_level_cache_is_what_linux_tells_but_only_what_its_cpus_can_have(machine, size, cpus, mib):
    files = {f"{CACHE}/size": size, f"{CACHE}/shared_cpu_list": cpus}
    assert machine({name: text for name, text in files.items() if text})[1] == mib * MB


def test_the_limit_is_one_sixteenth_of_the_address_space(fresh_python):
    code = """
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, -1))
        from torchcrop_fast import memory
        print(memory.stats()["limit"])
        """
    assert int(fresh_python(code)) == min(8 * GB, ALL) // 16


def test_torchs_allocations_get_what_is_kept(fresh_python):
    """Address space that is all but full of freed outputs: torch.empty() and ours empty the cache, and succeed."""
    code = """
        import resource, torch
        from torchcrop_fast import functional, memory
        memory.set_cache_limit(1 << 30)
        source = torch.ones(1, dtype=torch.uint8)
        for make in (torch.empty, lambda n, dtype: functional.pad(source, (0, n - 1))):
            functional.pad(source, (0, 500 << 20))
            kept = memory.stats()["cached_bytes"]
            size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + (100 << 20), -1))
            for _ in range(2):
                large = make(300 << 20, dtype=torch.uint8)
                print(kept >> 20, memory.stats()["cached_bytes"], large.nbytes >> 20)
                del large
                memory.empty_cache()
            try:
                make(1 << 40, dtype=torch.uint8)
            except RuntimeError as error:
                print("can't allocate memory" in str(error))
            resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
        """
    lines = fresh_python(code).splitlines()
    assert [line.split()[1:] for line in lines] == [["0", "300"], ["0", "300"], []] * 2
    assert all(int(line.split()[0]) >= 500 for line in lines[0::3] + lines[1::3])
    assert lines[2::3] == ["True", "True"]


@pytest.fixture
def cgroup():
    """A cgroup of version 1 or 2 with a limit of its own, where this process may make one."""
    for mount, limit in (
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "memory.max"),
    ):
        group = mount / f"torchcrop_fast_{os.getpid()}"
        with contextlib.suppress(OSError):
            group.mkdir()
            if (group / limit).exists():
                yield group, limit
                group.rmdir()
                return
            group.rmdir()
    pytest.skip("needs the right to make a cgroup")


def test_what_is_kept_leaves_room_in_a_cgroup(cgroup, fresh_python):
    """Of 700 MB one sixteenth is kept of 12 outputs, 372 MB in all, and 300 MB more are used: nobody is killed."""
    group, limit = cgroup
    code = """
        import os, sys, torch
        group, limit = sys.argv[1:]
        open(f"{group}/cgroup.procs", "w").write(str(os.getpid()))
        open(f"{group}/{limit}", "w").write(str(700 << 20))
        from torchcrop_fast import functional, memory
        source = torch.ones(1, dtype=torch.uint8)
        for size in range(20, 44, 2):
            functional.pad(source, (0, (size << 20) - 1), value=7)
        used = bytearray(300 << 20)
        print(memory.stats()["limit"], memory.stats()["cached_bytes"], len(used) >> 20)
        open(f"{os.path.dirname(group)}/cgroup.procs", "w").write(str(os.getpid()))
        """
    told, kept, used = map(int, fresh_python(code, str(group), limit).split())
    assert (told, used) == ((700 << 20) // 16, 300)
    assert 20 << 20 <= kept <= told
