"""What is rendered: a small POV-Ray scene with its own includes, and the scripts that prepare the machine."""

from __future__ import annotations

FRAMES = 60
WIDTH, HEIGHT = 240, 180
DATA_DISK = "/mnt/disks/lun0"  # where a data disk at LUN 0 is mounted, in build machines and in nodes

PALETTE = """\
#declare Clay = texture { pigment { rgb <0.80, 0.42, 0.25> } finish { diffuse 0.8 specular 0.2 } }
#declare Slate = texture { pigment { rgb <0.25, 0.30, 0.38> } finish { diffuse 0.7 reflection 0.12 } }
#declare Brass = texture { pigment { rgb <0.85, 0.68, 0.25> } finish { diffuse 0.5 specular 0.7 reflection 0.2 } }
"""

SHAPES = """\
#macro Ring_Of_Balls(Count, Distance, Size)
  union {
    #for (Index, 0, Count - 1)
      sphere { <Distance, Size, 0>, Size rotate y * (360 / Count * Index) }
    #end
  }
#end
"""

SCENE = """\
#version 3.7;
#include "palette.inc"
#include "shapes.inc"
global_settings { assumed_gamma 1.0 }
camera { location <0, 4, -9> look_at <0, 0.8, 0> angle 45 }
light_source { <6, 9, -7> rgb 1.1 }
background { rgb <0.55, 0.68, 0.85> }
plane { y, 0 texture { Slate } }
object { Ring_Of_Balls(9, 3, 0.45) texture { Clay } rotate y * 360 * clock }
torus { 1.3, 0.32 rotate x * 360 * clock translate y * 1.9 texture { Brass } }
"""

INSTALL = [
    "set -eu",
    "export DEBIAN_FRONTEND=noninteractive",
    "apt-get update -q",
    "apt-get install -q -y --no-install-recommends povray",
    "apt-get clean",
    "povray --version 2>&1 | grep -m 1 POV-Ray",
]


def write_reference_data() -> list[str]:
    """The script that puts the scene and its includes on the data disk."""
    folder = f"{DATA_DISK}/scene"
    script = ["set -eu", f"mkdir -p {folder}"]
    for name, text in (("palette.inc", PALETTE), ("shapes.inc", SHAPES), ("orbit.pov", SCENE)):
        script += [f"cat > {folder}/{name} <<'END_OF_FILE'", *text.splitlines(), "END_OF_FILE"]
    script += [f"chmod -R a+rX {DATA_DISK}", f"ls -l {folder}", f"df -h {DATA_DISK} | tail -n 1"]
    return script


def render_command(frame: int) -> str:
    """The command line of one frame's task. No shell runs it; POV-Ray writes frame.png in the task's directory."""
    clock = frame / FRAMES
    folder = f"{DATA_DISK}/scene"
    size = f"+W{WIDTH} +H{HEIGHT}"
    return f"povray +I{folder}/orbit.pov +L{folder} +Oframe.png {size} +K{clock:.6f} +FN +A0.3 +WT1 -D -GA"
