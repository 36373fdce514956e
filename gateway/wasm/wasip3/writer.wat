;; The core module of the writer of an interface: it has the ends of streams and futures that the guest is given, and
;; writes what the host has for them. It is a component of its own beside the adapter, which reads what the guest
;; gives, since no component may read what it has written itself.
;;
;; An end has
;;    0  its handle
;;    4  the number of its type
;;    8  the next one
;;   12  where what is being written goes on
;;   16  how many elements of it are left
;;   20  the blocks that it lies in, 0 for none
;;
;; Elsewhere: 0 the event that `set-poll` tells, 64 what a function returns, from 1024 to 196608 ends.
(module
  (import "" "memory" (memory 3))
  (import "" "top" (global $top (mut i32)))
  (import "" "end" (global $end (mut i32)))
  (import "" "blocks" (global $blocks (mut i32)))
  (import "" "give-blocks" (func $give-blocks (param i32)))

  (import "host" "job" (func $host-job (param i32) (result i64)))
  (import "host" "wanted" (func $host-wanted (param i32) (result i32)))
  (import "host" "made" (func $host-made (param i32 i32)))
  (import "host" "wrote" (func $host-wrote (param i32 i32)))
  (import "next" "turn" (func $next-turn (result i32)))
  (import "next" "serve" (func $next-serve (param i32)))
  (import "set" "new" (func $set-new (result i32)))
  (import "set" "poll" (func $set-poll (param i32 i32) (result i32)))
  (import "set" "join" (func $join (param i32 i32)))
  ;; IMPORTS

  (global $set (mut i32) (i32.const 0))
  (global $first (mut i32) (i32.const 0))
  (global $unused (mut i32) (i32.const 0))   ;; ends that are none any more
  (global $next (mut i32) (i32.const 1024))  ;; and that were none yet

  (func $give (param $readable i32) (param $writable i32) (result i32)
    (i32.store offset=64 (i32.const 0) (local.get $readable))
    (i32.store offset=68 (i32.const 0) (local.get $writable))
    (i32.const 64))
  ;; That the guest drops its end is told without a write too.
  (func $adopt (param $ends i64) (param $type i32) (result i32) (local $end i32) (local $handle i32)
    (local.set $handle (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32))))
    (local.set $end (global.get $unused))
    (if (local.get $end)
      (then (global.set $unused (i32.load offset=8 (local.get $end))))
      (else
        (if (i32.ge_u (global.get $next) (i32.const 196608)) (then unreachable))
        (local.set $end (global.get $next))
        (global.set $next (i32.add (local.get $end) (i32.const 32)))))
    (i32.store (local.get $end) (local.get $handle))
    (i32.store offset=4 (local.get $end) (local.get $type))
    (i32.store offset=8 (local.get $end) (global.get $first))
    (i32.store offset=16 (local.get $end) (i32.const 0))
    (i32.store offset=20 (local.get $end) (i32.const 0))
    (global.set $first (local.get $end))
    (if (i32.eqz (global.get $set)) (then (global.set $set (call $set-new))))
    (call $join (local.get $handle) (global.get $set))
    (call $give (i32.wrap_i64 (local.get $ends)) (local.get $handle)))
  (func $find (param $handle i32) (result i32) (local $end i32)
    (local.set $end (global.get $first))
    (loop $search
      (if (i32.ne (i32.load (local.get $end)) (local.get $handle)) (then
        (local.set $end (i32.load offset=8 (local.get $end)))
        (br_if $search (local.get $end))
        unreachable)))
    (local.get $end))
  (func $drop-end (param $end i32) (local $at i32)
    (call $written (local.get $end))
    (if (i32.eq (global.get $first) (local.get $end))
      (then (global.set $first (i32.load offset=8 (local.get $end))))
      (else
        (local.set $at (global.get $first))
        (loop $search (if (i32.ne (i32.load offset=8 (local.get $at)) (local.get $end)) (then
          (local.set $at (i32.load offset=8 (local.get $at)))
          (br $search))))
        (i32.store offset=8 (local.get $at) (i32.load offset=8 (local.get $end)))))
    (call $join (i32.load (local.get $end)) (i32.const 0))
    (call $drop-writable (i32.load (local.get $end)) (i32.load offset=4 (local.get $end)))
    (i32.store offset=8 (local.get $end) (global.get $unused))
    (global.set $unused (local.get $end)))
  (func $written (param $end i32)
    (call $give-blocks (i32.load offset=20 (local.get $end)))
    (i32.store offset=20 (local.get $end) (i32.const 0)))

  (func (export "serve") (param $what i32)
    (if (i32.eq (local.get $what) (i32.const MINE))
      (then (call $job))
      (else (call $next-serve (local.get $what)))))
  (func $job (local $job i64) (local $end i32)
    (local.set $job (call $host-job (i32.const 1)))
    (if (i64.lt_s (local.get $job) (i64.const 0)) (then (return))) ;; the guest has dropped it meanwhile
    (local.set $end (call $find (i32.wrap_i64 (local.get $job))))
    (if (i64.eqz (i64.shr_u (local.get $job) (i64.const 56)))
      (then (call $write-some (local.get $end)))
      (else (call $drop-end (local.get $end)))))
  (func $write-some (param $end i32) (local $type i32)
    (loop $more ;; ends of what is in the elements
      (local.set $type (call $host-wanted (i32.const 0)))
      (if (i32.ge_s (local.get $type) (i32.const 0)) (then
        (call $new-end (local.get $type))
        (call $host-made (i32.load offset=64 (i32.const 0)) (i32.load offset=68 (i32.const 0)))
        (br $more))))
    (global.set $top (i32.const 0))
    (global.set $end (i32.const 0))
    (global.set $blocks (i32.const 0))
    (call $have-given (i32.load (local.get $end)) (i32.load offset=4 (local.get $end)))
    (i32.store offset=20 (local.get $end) (global.get $blocks))
    (i32.store offset=12 (local.get $end) (i32.load offset=64 (i32.const 0)))
    (i32.store offset=16 (local.get $end) (i32.load offset=68 (i32.const 0)))
    (call $write (local.get $end)))
  (func $write (param $end i32) (local $n i32)
    (local.set $n (call $write-from (local.get $end) (i32.load (local.get $end)) (i32.load offset=4 (local.get $end))))
    (if (i32.ne (local.get $n) (i32.const -1)) (then (call $taken (local.get $end) (local.get $n)))))
  (func $taken (param $end i32) (param $n i32) (local $handle i32)
    (local.set $handle (i32.load (local.get $end)))
    (if (call $is-over (local.get $end) (i32.load offset=4 (local.get $end)) (local.get $n)) (then
      (call $drop-end (local.get $end))
      (call $host-wrote (local.get $handle) (i32.const 1))
      (return)))
    (if (i32.load offset=16 (local.get $end))
      (then (call $write (local.get $end)))
      (else
        (call $written (local.get $end))
        (call $host-wrote (local.get $handle) (i32.const 0)))))
  (func (export "turn") (result i32) (local $did i32)
    (local.set $did (call $next-turn))
    (if (global.get $set) (then
      (loop $events
        (if (call $set-poll (global.get $set) (i32.const 0)) (then
          (local.set $did (i32.const 1))
          (call $taken (call $find (i32.load (i32.const 0))) (i32.load offset=4 (i32.const 0)))
          (br $events))))))
    (local.get $did))

  ;; FUNCTIONS
)
