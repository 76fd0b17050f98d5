"""The process in which a student's functions run, shut off from the solutions and from the network.

This folder imports nothing of `fmtutor`, and its modules name each other relatively: the grader
starts it as a package of its own, in an interpreter that cannot import `fmtutor`, so that no
answer can be one of our functions.

What holds, from the outside in:

- A fresh forked process a question, in a throw-away folder, with an empty environment, no standard
  streams, and limits on seconds, memory, file size and open files.
- Linux: namespaces of its own for the network (none at all) and for processes (all die together,
  none outside can be seen), where the system lets this user make them.
- Linux 5.13 or newer: Landlock. Only Python's own library and the installed packages can be read,
  only the throw-away folder written, nothing executed, no other process traced.
- Everywhere: an audit hook that refuses the same things in Python. It is a fence, no wall: code
  that writes to memory through a C extension steps over it.
- Answers leave as JSON on a pipe. The expected values are in another process, and so are the
  points: there is nothing here worth forging.

What does not hold: the kernel is shared, and without Landlock the files of the grading user can be
read by code that is determined to. Strangers' code belongs into a container or under an operating
system user of its own, which holds nothing but the submissions and the instructors' notebooks.
"""
