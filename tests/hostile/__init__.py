"""Attacks with generated input.

    make test                                     # a part of it, with a fixed seed
    make fuzz MINUTES=60                          # all targets, in turns, with seeds of their own
    make fuzz MINUTES=10 TARGET=tokens
    make fuzz REPLAY=tests/hostile/findings/...   # runs a finding again

What is attacked is a target, a module of `targets`: something that takes bytes, and may refuse them in the ways
that it has. `worker` gives it inputs in a process of its own, which they may end; `runner` starts that, and writes
what it finds to `findings`, a file for each. Inputs that found something once are kept in `corpus/TARGET`: every
run begins with them.

A finding is an end of the process, an exception that is none of the target's, an input that takes more than its
share of CPU time, and what grows from input to input: memory, file descriptors, threads, maps, stores.
"""
