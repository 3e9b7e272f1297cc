"""The limit of open files, of real processes."""

import subprocess
import sys

RAISES = """
import resource
from propylon.gateway.listen.descriptors import hard_descriptor_limit, raise_descriptor_limit
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (100, min(hard, 300)))
print(hard_descriptor_limit(), raise_descriptor_limit(), *resource.getrlimit(7))
"""


def test_a_process_raises_its_own_to_the_hard_one() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", RAISES], capture_output=True, text=True, check=True, timeout=20
    )
    assert ran.stdout.split() == ["300", "300", "300", "300"]
