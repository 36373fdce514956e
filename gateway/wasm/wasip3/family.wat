;; The core module of the adapter of an interface, all but the functions of the interface themselves (`family.py`).
;;
;; A sleeper is whatever waits for the host, which calls it by its address, marked with the interface's TAG:
;;    0  what it listens to, or the next one
;;    4  the future that it listens to
;;    8  the other end of that, until it is woken
;;   12  what goes on then: a function of the table, by its index
;;   16  our end of a future or a stream of the guest
;;   20  the next of those that listen to such an end
;;   24  of a stream's elements: a buffer of 64 KiB
;;   28  where those are that the guest has not taken
;;   32  how many they are
;;   36  whether it has none, and waits for the host to have more: the guest may give up meanwhile
;;   40  what a future carries: `result<_, error-code>`
;;
;; Elsewhere: 0 the event that `set-poll` tells, 64 what a task returns, from 1024 to 196608 arguments and results of
;; one call, from there on sleepers, buffers, and what of arguments and results has no room before.
(module
  (import "" "memory" (memory 3))
  (import "" "top" (global $top (mut i32)))
  (import "" "end" (global $end (mut i32)))
  (import "" "blocks" (global $blocks (mut i32)))
  (import "" "reset" (func $reset))

  (import "host" "cancel" (func $host-cancel (param i32)))
  (import "host" "ended" (func $host-ended (param i32 i32)))
  (import "next" "turn" (func $next-turn (result i32)))
  (import "next" "serve" (func $next-serve (param i32)))
  (import "sources" "receive-bytes" (func $receive-bytes (param i32) (result i32)))
  (import "adapter" "sink" (func $sink (param i32 i32)))
  (import "task" "cancel" (func $task-cancel))
  (import "task" "get" (func $get-context (result i32)))
  (import "task" "set" (func $set-context (param i32)))
  (import "set" "new" (func $set-new (result i32)))
  (import "set" "poll" (func $set-poll (param i32 i32) (result i32)))
  (import "set" "drop" (func $set-drop (param i32)))
  (import "set" "join" (func $join (param i32 i32)))
  (import "signal" "new" (func $signal-new (result i64)))
  (import "signal" "read" (func $signal-read (param i32 i32) (result i32)))
  (import "signal" "write" (func $signal-write (param i32 i32) (result i32)))
  (import "signal" "cancel-read" (func $signal-cancel-read (param i32) (result i32)))
  (import "signal" "drop-readable" (func $signal-drop-readable (param i32)))
  (import "signal" "drop-writable" (func $signal-drop-writable (param i32)))
  (import "result" "new" (func $result-new (result i64)))
  (import "result" "write" (func $result-write (param i32 i32) (result i32)))
  (import "result" "drop-writable" (func $result-drop-writable (param i32)))
  ;; IMPORTS

  (type $going-on (func (param i32)))
  (global $set (mut i32) (i32.const 0))       ;; what `turn` listens to
  (global $pending (mut i32) (i32.const 0))   ;; those that listen to an end of theirs
  (global $idle (mut i32) (i32.const 0))      ;; sleepers that nobody is, each with the address of the next
  (global $unused (mut i32) (i32.const 0))    ;; the next that was none yet
  (global $free (mut i32) (i32.const 0))      ;; buffers that nobody has, likewise

  (func $high (param $ends i64) (result i32) (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32))))
  (func $low (param $ends i64) (result i32) (i32.wrap_i64 (local.get $ends)))
  (func $give (param $first i32) (param $second i32) (result i32)
    (i32.store offset=64 (i32.const 0) (local.get $first))
    (i32.store offset=68 (i32.const 0) (local.get $second))
    (i32.const 64))
  (func $grow (result i32) (local $page i32)
    (local.set $page (memory.grow (i32.const 1)))
    (if (i32.eq (local.get $page) (i32.const -1)) (then unreachable))
    (i32.shl (local.get $page) (i32.const 16)))

  (func $take-sleeper (param $then i32) (result i32) (local $sleeper i32)
    (local.set $sleeper (global.get $idle))
    (if (local.get $sleeper)
      (then (global.set $idle (i32.load (local.get $sleeper))))
      (else
        (if (i32.eqz (i32.and (global.get $unused) (i32.const 0xffff))) (then
          (global.set $unused (call $grow))))
        (local.set $sleeper (global.get $unused))
        (global.set $unused (i32.add (local.get $sleeper) (i32.const 64)))))
    (memory.fill (local.get $sleeper) (i32.const 0) (i32.const 64))
    (i32.store offset=12 (local.get $sleeper) (local.get $then))
    (local.get $sleeper))
  (func $let-go (param $sleeper i32)
    (i32.store (local.get $sleeper) (global.get $idle))
    (global.set $idle (local.get $sleeper)))
  (func $tagged (param $sleeper i32) (result i32) (i32.or (local.get $sleeper) (i32.const TAG)))
  (func $go-on (param $sleeper i32)
    (call_indirect (type $going-on) (local.get $sleeper) (i32.load offset=12 (local.get $sleeper))))

  ;; --- tasks ------------------------------------------------------------------------------------------------

  (func $sleep (param $sleeper i32) (param $done i32) (result i32) (local $ends i64)
    (call $reset) ;; the host has the arguments
    (if (local.get $done) (then (call $finish-task (local.get $sleeper)) (return (i32.const 0))))
    (local.set $ends (call $signal-new))
    (i32.store (local.get $sleeper) (call $set-new))
    (i32.store offset=4 (local.get $sleeper) (call $low (local.get $ends)))
    (i32.store offset=8 (local.get $sleeper) (call $high (local.get $ends)))
    (drop (call $signal-read (call $low (local.get $ends)) (i32.const 0)))
    (call $join (call $low (local.get $ends)) (i32.load (local.get $sleeper)))
    (call $set-context (local.get $sleeper))
    (i32.or (i32.const 2) (i32.shl (i32.load (local.get $sleeper)) (i32.const 4))))
  (func (export "awake") (param $event i32) (param i32 i32) (result i32) (local $sleeper i32) (local $asleep i32)
    (local.set $sleeper (call $get-context))
    (local.set $asleep (i32.load offset=8 (local.get $sleeper)))
    (if (i32.eq (local.get $event) (i32.const 6)) (then ;; cancelled, be it when all was done
      (call $join (i32.load offset=4 (local.get $sleeper)) (i32.const 0))
      (drop (call $signal-cancel-read (i32.load offset=4 (local.get $sleeper))))))
    (call $signal-drop-readable (i32.load offset=4 (local.get $sleeper)))
    (call $set-drop (i32.load (local.get $sleeper)))
    (if (local.get $asleep)
      (then
        (call $host-cancel (call $tagged (local.get $sleeper)))
        (call $wake (local.get $sleeper))
        (call $task-cancel)
        (call $let-go (local.get $sleeper)))
      (else (call $finish-task (local.get $sleeper))))
    (i32.const 0))
  (func $finish-task (param $sleeper i32)
    (call $go-on (local.get $sleeper))
    (call $reset)
    (call $let-go (local.get $sleeper)))
  (func $wake (param $sleeper i32)
    (drop (call $signal-write (i32.load offset=8 (local.get $sleeper)) (i32.const 0)))
    (call $signal-drop-writable (i32.load offset=8 (local.get $sleeper)))
    (i32.store offset=8 (local.get $sleeper) (i32.const 0)))

  ;; --- futures ----------------------------------------------------------------------------------------------

  ;; One who is to tell the guest what came of it; `$low` of the ends is the guest's.
  (func $promise (param $sleeper i32) (result i32) (local $ends i64)
    (local.set $ends (call $result-new))
    (i32.store offset=16 (local.get $sleeper) (call $high (local.get $ends)))
    (call $low (local.get $ends)))
  (func $keep-promise (param $sleeper i32)
    (call $host-ended (call $tagged (local.get $sleeper)) (i32.add (local.get $sleeper) (i32.const 40)))
    (if (i32.eq (i32.const -1)
      (call $result-write (i32.load offset=16 (local.get $sleeper)) (i32.add (local.get $sleeper) (i32.const 40))))
      (then (call $listen (local.get $sleeper)))
      (else (call $kept (local.get $sleeper)))))
  (func $kept (param $sleeper i32)
    (call $result-drop-writable (i32.load offset=16 (local.get $sleeper)))
    (call $let-go (local.get $sleeper)))

  ;; --- for the pump -----------------------------------------------------------------------------------------

  (func $listen (param $sleeper i32)
    (if (i32.eqz (global.get $set)) (then (global.set $set (call $set-new))))
    (call $join (i32.load offset=16 (local.get $sleeper)) (global.get $set))
    (i32.store offset=20 (local.get $sleeper) (global.get $pending))
    (global.set $pending (local.get $sleeper)))
  (func (export "serve") (param $what i32) (local $sleeper i32)
    (if (i32.or (i32.ge_s (local.get $what) (i32.const 0))
                (i32.ne (i32.and (local.get $what) (i32.const 0x7f000000)) (i32.const TAG)))
      (then (call $next-serve (local.get $what)) (return)))
    (local.set $sleeper (i32.and (local.get $what) (i32.const 0xffffff)))
    (if (i32.eq (local.get $sleeper) (i32.const 1)) (then (call $read-job) (return)))
    (if (i32.eq (local.get $sleeper) (i32.const 2)) (then (call $next-serve (local.get $what)) (return)))
    (if (i32.load offset=8 (local.get $sleeper))
      (then (call $wake (local.get $sleeper)))
      (else (call $go-on (local.get $sleeper)))))
  (func $turn (export "turn") (result i32) (local $did i32)
    (local.set $did (call $next-turn))
    (if (global.get $set) (then
      (loop $events
        (if (call $set-poll (global.get $set) (i32.const 0)) (then
          (local.set $did (i32.const 1))
          (call $event (i32.load (i32.const 0)) (i32.load offset=4 (i32.const 0)))
          (br $events))))
      (call $let-reads-go)))
    (local.get $did))
  (func $event (param $handle i32) (param $n i32) (local $sleeper i32)
    (if (call $read-event (local.get $handle) (local.get $n)) (then (return)))
    (local.set $sleeper (call $heard (local.get $handle)))
    (if (i32.load offset=12 (local.get $sleeper))
      (then (call $taken (local.get $sleeper) (local.get $n)))
      (else (call $kept (local.get $sleeper)))))
  ;; Who listens to that end, and does so no longer.
  (func $heard (param $handle i32) (result i32) (local $at i32) (local $sleeper i32)
    (local.set $sleeper (global.get $pending))
    (loop $search
      (if (i32.ne (i32.load offset=16 (local.get $sleeper)) (local.get $handle)) (then
        (local.set $at (local.get $sleeper))
        (local.set $sleeper (i32.load offset=20 (local.get $sleeper)))
        (br $search))))
    (if (local.get $at)
      (then (i32.store offset=20 (local.get $at) (i32.load offset=20 (local.get $sleeper))))
      (else (global.set $pending (i32.load offset=20 (local.get $sleeper)))))
    (local.get $sleeper))

  ;; FUNCTIONS
)
