;; The core module of the adapter: what it has of the streams that lead from the guest to the host.
;;
;; A channel is a body or a standard stream: the host gives it a number below 256. What each has lies at
;; 1024 + 128 * number:
;;    0  kind: 0 none of ours, 2 contents of a message, 3 a standard stream, 4 other bytes
;;    4  our end of the stream, 0 for none (handles begin at 1)
;;    8  our end of the future of the trailers
;;   12  our end of the future that says what came of it
;;   16  what is awaited of the guest: 0 nothing, 1 bytes, 2 trailers, 3 that it hears what came of it, 4 that it says
;;       so itself, of what it took back
;;   20  a buffer of 64 KiB, 0 for none
;;   24  of the trailers: 0 that they were not asked for, 1 that they were, 2 that they are there
;;   28  the next of those whose future nobody reads yet
;;   32  the guest's end of a future that it gave with a body of its own that it took back
;;   36  what the task listens to that reads a future of it
;;   64  40 bytes for what a future carries: `result<option<trailers>, error-code>` at the most
;;
;; Elsewhere: 0 the event that `set-poll` tells, 16 results of the host, 48 our results, 128 what a task returns, from
;; 33792 sleepers, 49152 strings of error codes, from 65536 buffers and more sleepers. A sleeper is a task that waits
;; for the host:
;;    0  what it listens to, or the next one
;;    4  the future that it listens to
;;    8  the other end of that, until it is woken
;;   12  how it returns: 0 from a wait for a clock, 1 with the response to a request
(module
  (import "" "memory" (memory 1))
  (import "" "strings" (global $strings (mut i32)))

  (import "host" "request-new" (func $host-request-new (param i32 i32 i32 i32 i32)))
  (import "host" "response-new" (func $host-response-new (param i32 i32 i32)))
  (import "host" "request-consume" (func $host-request-consume (param i32 i32)))
  (import "host" "response-consume" (func $host-response-consume (param i32 i32)))
  (import "host" "open" (func $host-open (param i32) (result i32)))
  (import "host" "room" (func $host-room (param i32) (result i32)))
  (import "bytes" "write" (func $host-write (param i32 i32 i32)))
  (import "host" "finish" (func $host-finish (param i32 i32 i32 i32)))
  (import "host" "close" (func $host-close (param i32)))
  (import "host" "timer" (func $host-timer (param i64 i32 i32) (result i32)))
  (import "host" "cancel" (func $host-cancel (param i32)))
  (import "host" "send" (func $host-send (param i32 i32) (result i32)))
  (import "host" "sent" (func $host-sent (param i32 i32)))

  (import "sources" "receive" (func $sources-receive (param i32 i32)))

  (import "task" "return" (func $return))
  (import "return" "answer" (func $task-return-answer (param i32 i32 i32 i64 i32 i32 i32 i32)))
  (import "task" "cancel" (func $task-cancel))
  (import "task" "get" (func $get-context (result i32)))
  (import "task" "set" (func $set-context (param i32)))
  (import "set" "new" (func $set-new (result i32)))
  (import "set" "poll" (func $set-poll (param i32 i32) (result i32)))
  (import "set" "drop" (func $set-drop (param i32)))
  (import "set" "join" (func $join (param i32 i32)))
  (import "stream" "new" (func $stream-new (result i64)))
  (import "stream" "read" (func $stream-read (param i32 i32 i32) (result i32)))
  (import "stream" "drop-readable" (func $stream-drop-readable (param i32)))
  (import "stream" "drop-writable" (func $stream-drop-writable (param i32)))
  (import "trailers" "read" (func $trailers-read (param i32 i32) (result i32)))
  (import "trailers" "cancel-read" (func $trailers-cancel-read (param i32) (result i32)))
  (import "trailers" "drop-readable" (func $trailers-drop-readable (param i32)))
  (import "result" "new" (func $result-new (result i64)))
  (import "result" "read" (func $result-read (param i32 i32) (result i32)))
  (import "result" "cancel-read" (func $result-cancel-read (param i32) (result i32)))
  (import "result" "write" (func $result-write (param i32 i32) (result i32)))
  (import "result" "drop-readable" (func $result-drop-readable (param i32)))
  (import "result" "drop-writable" (func $result-drop-writable (param i32)))
  (import "cli" "new" (func $cli-new (result i64)))
  (import "cli" "write" (func $cli-write (param i32 i32) (result i32)))
  (import "cli" "drop-writable" (func $cli-drop-writable (param i32)))
  (import "signal" "new" (func $signal-new (result i64)))
  (import "signal" "read" (func $signal-read (param i32 i32) (result i32)))
  (import "signal" "write" (func $signal-write (param i32 i32) (result i32)))
  (import "signal" "cancel-read" (func $signal-cancel-read (param i32) (result i32)))
  (import "signal" "drop-readable" (func $signal-drop-readable (param i32)))
  (import "signal" "drop-writable" (func $signal-drop-writable (param i32)))

  (global $set (mut i32) (i32.const 0))      ;; what the pump listens to
  (global $highest (mut i32) (i32.const 0))  ;; the highest number of a channel so far
  (global $free (mut i32) (i32.const 0))     ;; buffers that nobody has, each with the address of the next
  (global $idle (mut i32) (i32.const 0))     ;; sleepers that nobody is, each with the address of the next
  (global $unused (mut i32) (i32.const 33792)) ;; the next that was none yet
  (global $unheard (mut i32) (i32.const 0))  ;; the channels whose future is to be read
  (global $awaited (mut i32) (i32.const 0))  ;; futures of trailers whose values may come at any time

  ;; --- channels ---------------------------------------------------------------------------------------------

  (func $at (param $channel i32) (result i32)
    (i32.add (i32.const 1024) (i32.shl (local.get $channel) (i32.const 7))))
  (func $channel-at (param $at i32) (result i32)
    (i32.shr_u (i32.sub (local.get $at) (i32.const 1024)) (i32.const 7)))
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

  ;; --- wasi:http/types --------------------------------------------------------------------------------------

  ;; Its contents wait until it is sent, or taken back.
  (func $made (param $message i32) (param $channel i32) (param $has i32) (param $stream i32) (param $trailers i32)
    (result i32) (local $at i32) (local $ends i64)
    (local.set $at (call $open (local.get $channel) (i32.const 2)))
    (if (local.get $has) (then (i32.store offset=4 (local.get $at) (local.get $stream))))
    (i32.store offset=8 (local.get $at) (local.get $trailers))
    (local.set $ends (call $result-new))
    (i32.store offset=12 (local.get $at) (call $high (local.get $ends)))
    (call $give (local.get $message) (call $low (local.get $ends))))
  (func (export "request-new") (param $headers i32) (param $has i32) (param $stream i32) (param $trailers i32)
    (param $has-options i32) (param $options i32) (result i32)
    (call $host-request-new
      (local.get $headers) (local.get $has) (local.get $has-options) (local.get $options) (i32.const 16))
    (call $made (i32.load offset=16 (i32.const 0)) (i32.load offset=20 (i32.const 0))
      (local.get $has) (local.get $stream) (local.get $trailers)))
  (func (export "response-new") (param $headers i32) (param $has i32) (param $stream i32) (param $trailers i32)
    (result i32)
    (call $host-response-new (local.get $headers) (local.get $has) (i32.const 16))
    (call $made (i32.load offset=16 (i32.const 0)) (i32.load offset=20 (i32.const 0))
      (local.get $has) (local.get $stream) (local.get $trailers)))

  (func $consumed (param $result i32) (result i32)
    (if (result i32) (i32.load8_u offset=16 (i32.const 0))
      (then (call $taken-back (call $at (i32.load offset=20 (i32.const 0))) (local.get $result)))
      (else
        (call $result-drop-readable (local.get $result)) ;; no client is told
        (call $sources-receive (i32.load offset=20 (i32.const 0)) (i32.const 48))
        (i32.const 48))))
  (func (export "request-consume") (param $request i32) (param $result i32) (result i32)
    (call $host-request-consume (local.get $request) (i32.const 16))
    (call $consumed (local.get $result)))
  (func (export "response-consume") (param $response i32) (param $result i32) (result i32)
    (call $host-response-consume (local.get $response) (i32.const 16))
    (call $consumed (local.get $result)))
  ;; The guest's own body is handed back as it came; what came of it is what the guest says.
  (func $taken-back (param $at i32) (param $result i32) (result i32)
    (local $stream i32) (local $trailers i32) (local $ends i64)
    (local.set $stream (i32.load offset=4 (local.get $at)))
    (local.set $trailers (i32.load offset=8 (local.get $at)))
    (i32.store offset=4 (local.get $at) (i32.const 0))
    (i32.store offset=8 (local.get $at) (i32.const 0))
    (if (i32.eqz (local.get $stream)) (then
      (local.set $ends (call $stream-new))
      (call $stream-drop-writable (call $high (local.get $ends)))
      (local.set $stream (call $low (local.get $ends)))))
    (i32.store offset=32 (local.get $at) (local.get $result))
    (call $give (local.get $stream) (local.get $trailers)))
  ;; When the host has it look here.
  (func $ask (param $at i32)
    (i32.store offset=16 (local.get $at) (i32.const 4))
    (call $hear (local.get $at)))
  (func $told (param $at i32)
    (call $result-drop-readable (i32.load offset=32 (local.get $at)))
    (i32.store offset=32 (local.get $at) (i32.const 0))
    (call $conclude (local.get $at)))

  ;; --- from the guest to the host ---------------------------------------------------------------------------

  (func $serve-sink (param $channel i32) (param $at i32) (local $n i32)
    (if (i32.load offset=16 (local.get $at)) (then (return)))
    (if (i32.load offset=32 (local.get $at)) (then (call $ask (local.get $at)) (return)))
    (call $ask-for-trailers (local.get $at))
    (loop $more
      (if (i32.eqz (i32.load offset=4 (local.get $at)))
        (then (call $end (local.get $channel) (local.get $at)) (return)))
      (local.set $n (call $host-room (local.get $channel)))
      (if (i32.eqz (local.get $n)) (then (return)))
      (if (i32.eq (local.get $n) (i32.const -1)) (then (call $drop-sink (local.get $at)) (br $more)))
      (call $take-buffer (local.get $at))
      (local.set $n (call $stream-read
        (i32.load offset=4 (local.get $at)) (i32.load offset=20 (local.get $at)) (local.get $n)))
      (if (i32.eq (local.get $n) (i32.const -1)) (then
        (i32.store offset=16 (local.get $at) (i32.const 1))
        (call $listen (i32.load offset=4 (local.get $at)))
        (return)))
      (call $take (local.get $channel) (local.get $at) (local.get $n))
      (br $more)))
  (func $take (param $channel i32) (param $at i32) (param $n i32)
    (i32.store offset=16 (local.get $at) (i32.const 0))
    (if (i32.shr_u (local.get $n) (i32.const 4)) (then
      (call $host-write (local.get $channel)
        (i32.load offset=20 (local.get $at)) (i32.shr_u (local.get $n) (i32.const 4)))))
    (if (i32.and (local.get $n) (i32.const 1)) (then (call $drop-sink (local.get $at)))))
  (func $drop-sink (param $at i32)
    (call $stream-drop-readable (i32.load offset=4 (local.get $at)))
    (i32.store offset=4 (local.get $at) (i32.const 0)))
  ;; They are taken whenever they come: a guest may wait for that before it ends its stream.
  (func $ask-for-trailers (param $at i32)
    (if (i32.or (i32.eqz (i32.load offset=8 (local.get $at))) (i32.load offset=24 (local.get $at))) (then (return)))
    (i32.store offset=24 (local.get $at) (i32.const 1))
    (global.set $awaited (i32.add (global.get $awaited) (i32.const 1)))
    (call $hear (local.get $at)))
  (func $have-trailers (param $at i32)
    (call $trailers-drop-readable (i32.load offset=8 (local.get $at)))
    (i32.store offset=8 (local.get $at) (i32.const 0))
    (i32.store offset=24 (local.get $at) (i32.const 2))
    (if (i32.eq (i32.load offset=16 (local.get $at)) (i32.const 2))
      (then (call $finish (call $channel-at (local.get $at)) (local.get $at)))))
  ;; All bytes are there: the trailers are next.
  (func $end (param $channel i32) (param $at i32)
    (call $release (local.get $at))
    (if (i32.eqz (i32.load offset=24 (local.get $at))) (then (call $conclude (local.get $at)) (return)))
    (i32.store offset=16 (local.get $at) (i32.const 2))
    (if (i32.eq (i32.load offset=24 (local.get $at)) (i32.const 2))
      (then (call $finish (local.get $channel) (local.get $at)))))
  (func $finish (param $channel i32) (param $at i32) (local $value i32)
    (local.set $value (i32.add (local.get $at) (i32.const 64)))
    (call $host-finish (local.get $channel) (local.get $value) (i32.const 1) (local.get $value))
    (global.set $awaited (i32.sub (global.get $awaited) (i32.const 1)))
    (if (i32.eqz (global.get $awaited)) (then (global.set $strings (i32.const 49152))))
    (call $conclude (local.get $at)))
  ;; The guest hears what came of it, if it listens.
  (func $conclude (param $at i32) (local $n i32)
    (i32.store offset=16 (local.get $at) (i32.const 3))
    (if (i32.eq (i32.load (local.get $at)) (i32.const 4)) (then
      (call $close (call $channel-at (local.get $at)) (local.get $at))
      (return)))
    (if (i32.eq (i32.load (local.get $at)) (i32.const 2))
      (then (local.set $n
        (call $result-write (i32.load offset=12 (local.get $at)) (i32.add (local.get $at) (i32.const 64)))))
      (else (local.set $n
        (call $cli-write (i32.load offset=12 (local.get $at)) (i32.add (local.get $at) (i32.const 64))))))
    (if (i32.eq (local.get $n) (i32.const -1))
      (then (call $listen (i32.load offset=12 (local.get $at))))
      (else (call $concluded (local.get $at)))))
  (func $concluded (param $at i32)
    (if (i32.eq (i32.load (local.get $at)) (i32.const 2))
      (then (call $result-drop-writable (i32.load offset=12 (local.get $at))))
      (else (call $cli-drop-writable (i32.load offset=12 (local.get $at)))))
    (call $close (call $channel-at (local.get $at)) (local.get $at)))

  ;; --- futures of the guest ---------------------------------------------------------------------------------

  ;; One that has no value yet is read by a task that lives until there is one: in Wasmtime 50 a write can trap with
  ;; "resource not present" where who reads does so in a call that has ended. The pump starts these tasks.
  (func $hear (param $at i32)
    (if (i32.eq (call $read-future (local.get $at)) (i32.const -1)) (then
      (if (call $cancel-future (local.get $at)) (then
        (i32.store offset=28 (local.get $at) (global.get $unheard))
        (global.set $unheard (local.get $at))
        (return)))))
    (call $have-heard (local.get $at)))
  (func (export "unheard") (result i32) (local $at i32)
    (local.set $at (global.get $unheard))
    (if (local.get $at) (then (global.set $unheard (i32.load offset=28 (local.get $at)))))
    (local.get $at))
  (func (export "hear") (param $at i32) (result i32)
    (call $return)
    (if (i32.ne (call $read-future (local.get $at)) (i32.const -1)) (then
      (call $have-heard (local.get $at))
      (return (i32.const 0))))
    (i32.store offset=36 (local.get $at) (call $set-new))
    (call $join (call $future-of (local.get $at)) (i32.load offset=36 (local.get $at)))
    (call $set-context (local.get $at))
    (i32.or (i32.const 2) (i32.shl (i32.load offset=36 (local.get $at)) (i32.const 4))))
  (func (export "heard") (param $event i32) (param $handle i32) (param i32) (result i32) (local $at i32)
    (local.set $at (call $get-context))
    (call $join (local.get $handle) (i32.const 0))
    (call $set-drop (i32.load offset=36 (local.get $at)))
    (call $have-heard (local.get $at))
    (i32.const 0))
  ;; Of what came of a body of the guest's own, or of trailers.
  (func $is-own (param $at i32) (result i32) (i32.eq (i32.load offset=16 (local.get $at)) (i32.const 4)))
  (func $future-of (param $at i32) (result i32)
    (select (i32.load offset=32 (local.get $at)) (i32.load offset=8 (local.get $at)) (call $is-own (local.get $at))))
  (func $read-future (param $at i32) (result i32)
    (if (result i32) (call $is-own (local.get $at))
      (then (call $result-read (call $future-of (local.get $at)) (i32.add (local.get $at) (i32.const 64))))
      (else (call $trailers-read (call $future-of (local.get $at)) (i32.add (local.get $at) (i32.const 64))))))
  ;; Tells whether it was in time.
  (func $cancel-future (param $at i32) (result i32)
    (if (result i32) (call $is-own (local.get $at))
      (then (call $result-cancel-read (call $future-of (local.get $at))))
      (else (call $trailers-cancel-read (call $future-of (local.get $at))))))
  (func $have-heard (param $at i32)
    (if (call $is-own (local.get $at))
      (then (call $told (local.get $at)))
      (else (call $have-trailers (local.get $at)))))

  ;; --- wasi:cli ---------------------------------------------------------------------------------------------

  (func $output (param $kind i32) (param $stream i32) (result i32) (local $at i32) (local $ends i64)
    (local.set $at (call $open (call $host-open (local.get $kind)) (i32.const 3)))
    (i32.store offset=4 (local.get $at) (local.get $stream))
    (local.set $ends (call $cli-new))
    (i32.store offset=12 (local.get $at) (call $high (local.get $ends)))
    (call $low (local.get $ends)))
  (func (export "stdout") (param $stream i32) (result i32) (call $output (i32.const 1) (local.get $stream)))
  (func (export "stderr") (param $stream i32) (result i32) (call $output (i32.const 2) (local.get $stream)))
  (func (export "stdin") (result i32) (local $ends i64)
    (local.set $ends (call $stream-new))
    (call $stream-drop-writable (call $high (local.get $ends)))
    (call $give (call $low (local.get $ends)) (call $output (i32.const 0) (i32.const 0))))

  ;; --- for other interfaces ---------------------------------------------------------------------------------

  (func (export "sink") (param $channel i32) (param $stream i32)
    (i32.store offset=4 (call $open (local.get $channel) (i32.const 4)) (local.get $stream)))

  ;; --- wasi:clocks ------------------------------------------------------------------------------------------

  (func (export "wait-for") (param $duration i64) (result i32) (call $wait (local.get $duration) (i32.const 0)))
  (func (export "wait-until") (param $when i64) (result i32) (call $wait (local.get $when) (i32.const 1)))
  (func $wait (param $when i64) (param $absolute i32) (result i32) (local $sleeper i32)
    (local.set $sleeper (call $take-sleeper (i32.const 0)))
    (call $sleep (local.get $sleeper)
      (call $host-timer (local.get $when) (local.get $absolute) (local.get $sleeper))))
  (func $waited (param $sleeper i32) (call $return))

  ;; --- wasi:http/client -------------------------------------------------------------------------------------

  (func (export "send") (param $request i32) (result i32) (local $sleeper i32)
    (local.set $sleeper (call $take-sleeper (i32.const 1)))
    (call $sleep (local.get $sleeper) (call $host-send (local.get $request) (local.get $sleeper))))
  (func $sent (param $sleeper i32) (local $strings i32)
    (local.set $strings (global.get $strings))
    (call $host-sent (local.get $sleeper) (i32.const 128))
    (call $return-answer (i32.const 128))
    (global.set $strings (local.get $strings)))

  ;; --- sleepers ---------------------------------------------------------------------------------------------

  (type $returning (func (param i32)))
  (table funcref (elem $waited $sent))
  ;; A task of the guest goes on when the host is done, which it may be at once.
  (func $sleep (param $sleeper i32) (param $done i32) (result i32) (local $ends i64)
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
    (local.set $asleep (i32.load offset=8 (local.get $sleeper))) ;; if so, it was cancelled
    (if (i32.eq (local.get $event) (i32.const 6)) (then ;; cancelled, be it when all was done
      (call $join (i32.load offset=4 (local.get $sleeper)) (i32.const 0))
      (drop (call $signal-cancel-read (i32.load offset=4 (local.get $sleeper))))))
    (call $signal-drop-readable (i32.load offset=4 (local.get $sleeper)))
    (call $set-drop (i32.load (local.get $sleeper)))
    (if (local.get $asleep)
      (then
        (call $host-cancel (local.get $sleeper))
        (call $wake (local.get $sleeper)) ;; nobody listens; but no end is dropped that nothing was written to
        (call $task-cancel)
        (call $let-go (local.get $sleeper)))
      (else (call $finish-task (local.get $sleeper))))
    (i32.const 0))
  (func $finish-task (param $sleeper i32)
    (call_indirect (type $returning) (local.get $sleeper) (i32.load offset=12 (local.get $sleeper)))
    (call $let-go (local.get $sleeper)))
  (func $wake (param $sleeper i32)
    (drop (call $signal-write (i32.load offset=8 (local.get $sleeper)) (i32.const 0)))
    (call $signal-drop-writable (i32.load offset=8 (local.get $sleeper)))
    (i32.store offset=8 (local.get $sleeper) (i32.const 0)))
  (func $take-sleeper (param $kind i32) (result i32) (local $sleeper i32)
    (local.set $sleeper (global.get $idle))
    (if (local.get $sleeper)
      (then (global.set $idle (i32.load (local.get $sleeper))))
      (else
        (if (i32.eqz (i32.and (global.get $unused) (i32.const 0xffff))) (then ;; at the end of a page
          (global.set $unused (i32.shl (call $grow) (i32.const 16)))))
        (local.set $sleeper (global.get $unused))
        (global.set $unused (i32.add (local.get $sleeper) (i32.const 16)))
        (if (i32.eq (global.get $unused) (i32.const 49152)) (then (global.set $unused (i32.const 0))))))
    (i32.store offset=12 (local.get $sleeper) (local.get $kind))
    (local.get $sleeper))
  (func $let-go (param $sleeper i32)
    (i32.store (local.get $sleeper) (global.get $idle))
    (global.set $idle (local.get $sleeper)))

  ;; --- for the pump -----------------------------------------------------------------------------------------

  (func (export "turn") (result i32) (local $did i32)
    (if (i32.eqz (global.get $set)) (then (return (i32.const 0))))
    (loop $events
      (if (call $set-poll (global.get $set) (i32.const 0)) (then
        (local.set $did (i32.const 1))
        (call $event (i32.load (i32.const 0)) (i32.load offset=4 (i32.const 0)))
        (br $events))))
    (local.get $did))
  ;; A channel, or a sleeper, which has the highest bit set; tells whether it is one of ours.
  (func (export "serve") (param $what i32) (result i32)
    (if (i32.lt_s (local.get $what) (i32.const 0)) (then
      (local.set $what (i32.and (local.get $what) (i32.const 0x7fffffff)))
      (if (i32.shr_u (local.get $what) (i32.const 24)) (then (return (i32.const 0))))
      (call $wake (local.get $what))
      (return (i32.const 1))))
    (if (i32.load (call $at (local.get $what))) (then
      (call $serve-sink (local.get $what) (call $at (local.get $what)))
      (return (i32.const 1))))
    (i32.const 0))
  (func $event (param $handle i32) (param $n i32) (local $channel i32) (local $at i32)
    (loop $search
      (local.set $at (call $at (local.get $channel)))
      (if (i32.load (local.get $at)) (then
        (if (i32.eq (i32.load offset=4 (local.get $at)) (local.get $handle)) (then
          (call $take (local.get $channel) (local.get $at) (local.get $n))
          (call $serve-sink (local.get $channel) (local.get $at))
          (return)))
        (if (i32.eq (i32.load offset=12 (local.get $at)) (local.get $handle))
          (then (call $concluded (local.get $at)) (return)))))
      (local.set $channel (i32.add (local.get $channel) (i32.const 1)))
      (br_if $search (i32.le_u (local.get $channel) (global.get $highest)))))
)
