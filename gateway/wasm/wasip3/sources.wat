;; The core module of the sources: what they have of the streams that lead from the host to the guest. It is a component
;; of its own, since no component may read from a future what it has written to it, and a guest may answer with the
;; trailers of its request.
;;
;; A channel, the number of which comes from the host, has at 1024 + 128 * number:
;;    0  1, or 0 if there is none
;;    4  our end of the stream, 0 for none (handles begin at 1)
;;    8  our end of the future of the trailers
;;   16  what is awaited: 0 nothing, 1 that the guest reads, 2 that it has read, 3 bytes of the host, 4 that it has
;;       the trailers
;;   20  a buffer of 64 KiB, 0 for none
;;   24  of what is still to be written to the guest: where it is
;;   28  and how much
;;   64  40 bytes for `result<option<trailers>, error-code>`
;;
;; Elsewhere: 0 the event that `set-poll` tells, 32 what the host has read, 48 our results, from 65536 buffers. In its
;; buffer a channel has what is to be written, and at the end the string of an error code; none has two.
;;
;; A write of no bytes is how one hears that the guest reads: only then is the host waited for, so that nobody waits
;; for bytes that nobody wants.
(module
  (import "" "memory" (memory 1))
  (import "" "buffer" (global $buffer (mut i32)))

  (import "bytes" "read" (func $host-read (param i32 i32)))
  (import "host" "wait" (func $host-wait (param i32)))
  (import "host" "discard" (func $host-discard (param i32)))
  (import "host" "trailers" (func $host-trailers (param i32 i32)))
  (import "host" "close" (func $host-close (param i32)))
  (import "set" "new" (func $set-new (result i32)))
  (import "set" "poll" (func $set-poll (param i32 i32) (result i32)))
  (import "set" "join" (func $join (param i32 i32)))
  (import "stream" "new" (func $stream-new (result i64)))
  (import "stream" "write" (func $stream-write (param i32 i32 i32) (result i32)))
  (import "stream" "drop-writable" (func $stream-drop-writable (param i32)))
  (import "trailers" "new" (func $trailers-new (result i64)))
  (import "trailers" "write" (func $trailers-write (param i32 i32) (result i32)))
  (import "trailers" "drop-writable" (func $trailers-drop-writable (param i32)))

  (global $set (mut i32) (i32.const 0))      ;; what `turn` listens to
  (global $highest (mut i32) (i32.const 0))  ;; the highest number of a channel so far
  (global $free (mut i32) (i32.const 0))     ;; buffers that nobody has, each with the address of the next

  (func $at (param $channel i32) (result i32)
    (i32.add (i32.const 1024) (i32.shl (local.get $channel) (i32.const 7))))
  (func $open (param $channel i32) (param $kind i32) (result i32) (local $at i32)
    (local.set $at (call $at (local.get $channel)))
    (memory.fill (local.get $at) (i32.const 0) (i32.const 128))
    (i32.store (local.get $at) (local.get $kind))
    (if (i32.gt_u (local.get $channel) (global.get $highest)) (then (global.set $highest (local.get $channel))))
    (local.get $at))
  (func $close (param $channel i32) (param $at i32)
    (call $release (local.get $at))
    (i32.store (local.get $at) (i32.const 0))
    (call $host-close (local.get $channel)))
  (func $listen (param $handle i32)
    (if (i32.eqz (global.get $set)) (then (global.set $set (call $set-new))))
    (call $join (local.get $handle) (global.get $set)))
  (func $take-buffer (param $at i32)
    (if (i32.load offset=20 (local.get $at)) (then (return)))
    (if (global.get $free)
      (then
        (i32.store offset=20 (local.get $at) (global.get $free))
        (global.set $free (i32.load (global.get $free))))
      (else
        (i32.store offset=20 (local.get $at) (i32.shl (call $grow) (i32.const 16))))))
  (func $grow (result i32) (local $page i32)
    (local.set $page (memory.grow (i32.const 1)))
    (if (i32.eq (local.get $page) (i32.const -1)) (then unreachable))
    (local.get $page))
  (func $release (param $at i32)
    (if (i32.load offset=20 (local.get $at)) (then
      (i32.store (i32.load offset=20 (local.get $at)) (global.get $free))
      (global.set $free (i32.load offset=20 (local.get $at)))
      (i32.store offset=20 (local.get $at) (i32.const 0)))))
  (func $high (param $ends i64) (result i32) (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32))))
  (func $low (param $ends i64) (result i32) (i32.wrap_i64 (local.get $ends)))
  (func $give (param $first i32) (param $second i32) (result i32)
    (i32.store offset=48 (i32.const 0) (local.get $first))
    (i32.store offset=52 (i32.const 0) (local.get $second))
    (i32.const 48))

  (func (export "receive") (param $channel i32) (result i32) (local $at i32) (local $stream i64) (local $trailers i64)
    (local.set $at (call $open (local.get $channel) (i32.const 1)))
    (local.set $stream (call $stream-new))
    (local.set $trailers (call $trailers-new))
    (i32.store offset=4 (local.get $at) (call $high (local.get $stream)))
    (i32.store offset=8 (local.get $at) (call $high (local.get $trailers)))
    (call $give (call $low (local.get $stream)) (call $low (local.get $trailers))))
  ;; The same of bytes alone, without trailers.
  (func (export "receive-bytes") (param $channel i32) (result i32) (local $stream i64)
    (local.set $stream (call $stream-new))
    (i32.store offset=4 (call $open (local.get $channel) (i32.const 1)) (call $high (local.get $stream)))
    (call $low (local.get $stream)))
  (func (export "turn") (result i32) (local $did i32)
    (if (i32.eqz (global.get $set)) (then (return (i32.const 0))))
    (loop $events
      (if (call $set-poll (global.get $set) (i32.const 0)) (then
        (local.set $did (i32.const 1))
        (call $event (i32.load (i32.const 0)) (i32.load offset=4 (i32.const 0)))
        (br $events))))
    (local.get $did))
  (func $event (param $handle i32) (param $n i32) (local $channel i32) (local $at i32)
    (loop $search
      (local.set $at (call $at (local.get $channel)))
      (if (i32.load (local.get $at)) (then
        (if (i32.eq (i32.load offset=4 (local.get $at)) (local.get $handle)) (then
          (call $sent (local.get $channel) (local.get $at) (local.get $n))
          (call $serve (local.get $channel))
          (return)))
        (if (i32.eq (i32.load offset=8 (local.get $at)) (local.get $handle))
          (then (call $ended (local.get $channel) (local.get $at)) (return)))))
      (local.set $channel (i32.add (local.get $channel) (i32.const 1)))
      (br_if $search (i32.le_u (local.get $channel) (global.get $highest)))))

  (func $serve (export "serve") (param $channel i32) (local $at i32) (local $n i32)
    (local.set $at (call $at (local.get $channel)))
    (if (i32.eqz (i32.load (local.get $at))) (then (return))) ;; closed meanwhile
    (loop $more
      (local.set $n (i32.load offset=16 (local.get $at)))
      (if (i32.and (i32.ne (local.get $n) (i32.const 0)) (i32.ne (local.get $n) (i32.const 3))) (then (return)))
      (if (i32.eqz (i32.load offset=28 (local.get $at))) (then
        (local.set $n (call $fill (local.get $channel) (local.get $at)))
        (if (i32.eqz (local.get $n)) (then
          (if (i32.eqz (i32.load offset=4 (local.get $at))) (then (call $wait (local.get $channel) (local.get $at)) (return)))
          (local.set $n (call $stream-write (i32.load offset=4 (local.get $at)) (i32.const 0) (i32.const 0)))
          (if (i32.eq (local.get $n) (i32.const -1)) (then
            (i32.store offset=16 (local.get $at) (i32.const 1))
            (call $listen (i32.load offset=4 (local.get $at)))
            (return)))
          (call $sent (local.get $channel) (local.get $at) (local.get $n))
          (if (i32.eqz (i32.load offset=4 (local.get $at))) (then (br $more)))
          (call $wait (local.get $channel) (local.get $at))
          (return)))
        (if (i32.eq (local.get $n) (i32.const 2)) (then
          (call $end-source (local.get $channel) (local.get $at))
          (return)))))
      (local.set $n (call $stream-write (i32.load offset=4 (local.get $at))
        (i32.load offset=24 (local.get $at)) (i32.load offset=28 (local.get $at))))
      (if (i32.eq (local.get $n) (i32.const -1)) (then
        (i32.store offset=16 (local.get $at) (i32.const 2))
        (call $listen (i32.load offset=4 (local.get $at)))
        (return)))
      (call $sent (local.get $channel) (local.get $at) (local.get $n))
      (br $more)))
  (func $wait (param $channel i32) (param $at i32)
    (i32.store offset=16 (local.get $at) (i32.const 3))
    (call $host-wait (local.get $channel)))
  ;; Have what the host has by now; 0 for nothing, 2 at the end.
  (func $fill (param $channel i32) (param $at i32) (result i32)
    (i32.store offset=16 (local.get $at) (i32.const 0))
    (call $take-buffer (local.get $at))
    (global.set $buffer (i32.load offset=20 (local.get $at)))
    (call $host-read (local.get $channel) (i32.const 32))
    (i32.store offset=24 (local.get $at) (i32.load offset=36 (i32.const 0)))
    (i32.store offset=28 (local.get $at) (i32.load offset=40 (i32.const 0)))
    (i32.load offset=32 (i32.const 0)))
  (func $sent (param $channel i32) (param $at i32) (param $n i32) (local $copied i32)
    (i32.store offset=16 (local.get $at) (i32.const 0))
    (local.set $copied (i32.shr_u (local.get $n) (i32.const 4)))
    (i32.store offset=24 (local.get $at) (i32.add (i32.load offset=24 (local.get $at)) (local.get $copied)))
    (i32.store offset=28 (local.get $at) (i32.sub (i32.load offset=28 (local.get $at)) (local.get $copied)))
    (if (i32.and (local.get $n) (i32.const 1)) (then ;; the guest reads no more
      (call $drop-source (local.get $at))
      (i32.store offset=28 (local.get $at) (i32.const 0))
      (call $host-discard (local.get $channel)))))
  (func $drop-source (param $at i32)
    (call $stream-drop-writable (i32.load offset=4 (local.get $at)))
    (i32.store offset=4 (local.get $at) (i32.const 0)))
  (func $end-source (param $channel i32) (param $at i32)
    (if (i32.load offset=4 (local.get $at)) (then (call $drop-source (local.get $at))))
    (if (i32.eqz (i32.load offset=8 (local.get $at))) (then
      (call $close (local.get $channel) (local.get $at))
      (return)))
    (i32.store offset=16 (local.get $at) (i32.const 4))
    (call $take-buffer (local.get $at))
    (global.set $buffer (i32.load offset=20 (local.get $at)))
    (call $host-trailers (local.get $channel) (i32.add (local.get $at) (i32.const 64)))
    (if (i32.eq (i32.const -1)
      (call $trailers-write (i32.load offset=8 (local.get $at)) (i32.add (local.get $at) (i32.const 64))))
      (then (call $listen (i32.load offset=8 (local.get $at))))
      (else (call $ended (local.get $channel) (local.get $at)))))
  (func $ended (param $channel i32) (param $at i32)
    (call $trailers-drop-writable (i32.load offset=8 (local.get $at)))
    (call $close (local.get $channel) (local.get $at)))
)
