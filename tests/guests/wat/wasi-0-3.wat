;; A handler of WASI 0.3. The first letter of the path says what it does:
;;   h  answers "hello"                           b  answers with the body and the trailers of the request
;;   e  fails with an internal error              E  answers "hello" and has its trailers be an error
;;   t  traps                                     n  waits for nothing
;;   y  yields fifty times, then as h             Y  yields for ever
;;   s  waits for 20 ms, then as h                S  for a day; m  for half a second, then as h
;;   c  has a wait for a day cancelled, then h    l  as h, then waits for 20 ms and prints "later"
;;   o  prints "output", then as h                u  begins a body that it never ends
;;   d  drops the body of the request, then h     r  reads some of it first
;;   p  calls what takes two handles in WASI 0.2   k  calls what nobody provides
;;   w  answers "hello", and two bytes more than its headers announce
;;   x  drops a response that it has made, then h
;;   a  answers without contents                  T  answers "hello" and has trailers
;;   f  as h, with a body in hand that it never reads, nor its trailers
;;   i  ends its body before the first byte       q  as h, and drops its trailers unwritten
;;   z  computes for a while, then as h           O  as h, with the contents of another response
;;   g  as h, and ends its body when its trailers were taken
;;   j  as h, and has its trailers only 20 ms later
;;   v  as h again and again, until nobody takes its body any more; then prints "output"
;;   R  as O, and says what came of those, when it has written them
(component
  (import "wasi:http/types@0.3.0" (instance $http
    (type $dns' (record (field "rcode" (option string)) (field "info-code" (option u16))))
    (export "DNS-error-payload" (type $dns (eq $dns')))
    (type $tls' (record (field "alert-id" (option u8)) (field "alert-message" (option string))))
    (export "TLS-alert-received-payload" (type $tls (eq $tls')))
    (type $size' (record (field "field-name" (option string)) (field "field-size" (option u32))))
    (export "field-size-payload" (type $size (eq $size')))
    (type $error-code' (variant (case "DNS-timeout") (case "DNS-error" $dns) (case "destination-not-found")
      (case "destination-unavailable") (case "destination-IP-prohibited") (case "destination-IP-unroutable")
      (case "connection-refused") (case "connection-terminated") (case "connection-timeout")
      (case "connection-read-timeout") (case "connection-write-timeout") (case "connection-limit-reached")
      (case "TLS-protocol-error") (case "TLS-certificate-error") (case "TLS-alert-received" $tls)
      (case "HTTP-request-denied") (case "HTTP-request-length-required") (case "HTTP-request-body-size" (option u64))
      (case "HTTP-request-method-invalid") (case "HTTP-request-URI-invalid") (case "HTTP-request-URI-too-long")
      (case "HTTP-request-header-section-size" (option u32)) (case "HTTP-request-header-size" (option $size))
      (case "HTTP-request-trailer-section-size" (option u32)) (case "HTTP-request-trailer-size" $size)
      (case "HTTP-response-incomplete") (case "HTTP-response-header-section-size" (option u32))
      (case "HTTP-response-header-size" $size) (case "HTTP-response-body-size" (option u64))
      (case "HTTP-response-trailer-section-size" (option u32)) (case "HTTP-response-trailer-size" $size)
      (case "HTTP-response-transfer-coding" (option string)) (case "HTTP-response-content-coding" (option string))
      (case "HTTP-response-timeout") (case "HTTP-upgrade-failed") (case "HTTP-protocol-error") (case "loop-detected")
      (case "configuration-error") (case "internal-error" (option string))))
    (export "error-code" (type $error-code (eq $error-code')))
    (type $header-error' (variant (case "invalid-syntax") (case "forbidden") (case "immutable")
      (case "size-exceeded") (case "other" (option string))))
    (export "header-error" (type $header-error (eq $header-error')))
    (export "fields" (type $fields (sub resource)))
    (export "request" (type $request (sub resource)))
    (export "response" (type $response (sub resource)))
    (export "[constructor]fields" (func (result (own $fields))))
    (export "[method]fields.append" (func (param "self" (borrow $fields)) (param "name" string)
      (param "value" (list u8)) (result (result (error $header-error)))))
    (export "[method]request.get-path-with-query" (func (param "self" (borrow $request)) (result (option string))))
    (export "[static]request.consume-body" (func (param "this" (own $request))
      (param "res" (future (result (error $error-code))))
      (result (tuple (stream u8) (future (result (option (own $fields)) (error $error-code)))))))
    (export "[static]response.consume-body" (func (param "this" (own $response))
      (param "res" (future (result (error $error-code))))
      (result (tuple (stream u8) (future (result (option (own $fields)) (error $error-code)))))))
    (export "[static]response.new" (func (param "headers" (own $fields)) (param "contents" (option (stream u8)))
      (param "trailers" (future (result (option (own $fields)) (error $error-code))))
      (result (tuple (own $response) (future (result (error $error-code)))))))))
  (alias export $http "fields" (type $fields)) (alias export $http "request" (type $request))
  (alias export $http "response" (type $response)) (alias export $http "error-code" (type $error-code))
  (import "test:nobody/there@0.1.0" (instance $client
    (alias outer 1 $request (type $request')) (export "request" (type $request (eq $request')))
    (alias outer 1 $response (type $response')) (export "response" (type $response (eq $response')))
    (alias outer 1 $error-code (type $error-code')) (export "error-code" (type $error-code (eq $error-code')))
    (export "send" (func async (param "request" (own $request))
      (result (result (own $response) (error $error-code)))))))
  (import "wasi:clocks/monotonic-clock@0.3.0" (instance $clock
    (export "wait-for" (func async (param "how-long" u64)))))
  (import "wasi:cli/types@0.3.0" (instance $cli
    (type $e (enum "io" "illegal-byte-sequence" "pipe")) (export "error-code" (type (eq $e)))))
  (alias export $cli "error-code" (type $cli-error))
  (import "wasi:cli/stdout@0.3.0" (instance $stdout
    (alias outer 1 $cli-error (type $e')) (export "error-code" (type $e (eq $e')))
    (export "write-via-stream" (func (param "data" (stream u8)) (result (future (result (error $e))))))))
  (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type $pollable (sub resource)))
    (export "poll" (func (param "in" (list (borrow $pollable))) (result (list u32))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock2
    (alias outer 1 $pollable (type $pollable')) (export "pollable" (type $pollable (eq $pollable')))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (export "input-stream" (type $in (sub resource))) (export "output-stream" (type $out (sub resource)))
    (type $e' (variant (case "closed"))) (export "stream-error" (type $e (eq $e')))
    (export "[method]output-stream.splice" (func (param "self" (borrow $out)) (param "src" (borrow $in))
      (param "len" u64) (result (result u64 (error $e)))))))
  (alias export $streams "input-stream" (type $in)) (alias export $streams "output-stream" (type $out))
  (import "wasi:cli/stdin@0.2.0" (instance $stdin2
    (alias outer 1 $in (type $in')) (export "input-stream" (type $in (eq $in')))
    (export "get-stdin" (func (result (own $in))))))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout2
    (alias outer 1 $out (type $out')) (export "output-stream" (type $out (eq $out')))
    (export "get-stdout" (func (result (own $out))))))

  (core module $Memory
    (memory (export "memory") 2)
    (global $top (mut i32) (i32.const 65536))
    (func (export "realloc") (param i32 i32 i32) (param $size i32) (result i32)
      (global.set $top (i32.add (global.get $top) (i32.and (i32.add (local.get $size) (i32.const 15)) (i32.const -8))))
      (i32.sub (global.get $top) (i32.and (i32.add (local.get $size) (i32.const 15)) (i32.const -8)))))
  (core instance $m (instantiate $Memory))
  (alias core export $m "memory" (core memory $memory)) (alias core export $m "realloc" (core func $realloc))
  (type $stream (stream u8))
  (type $trailers (future (result (option (own $fields)) (error $error-code))))
  (type $result (future (result (error $error-code))))
  (type $printed (future (result (error $cli-error))))
  (type $answer (result (own $response) (error $error-code)))
  (core func $fields-new (canon lower (func $http "[constructor]fields")))
  (core func $fields-append (canon lower (func $http "[method]fields.append") (memory $memory) (realloc (core func $realloc))))
  (core func $path (canon lower (func $http "[method]request.get-path-with-query") (memory $memory) (realloc (core func $realloc))))
  (core func $consume (canon lower (func $http "[static]request.consume-body") (memory $memory)))
  (core func $take-back (canon lower (func $http "[static]response.consume-body") (memory $memory)))
  (core func $response-new (canon lower (func $http "[static]response.new") (memory $memory)))
  (core func $send (canon lower (func $client "send") async (memory $memory) (realloc (core func $realloc))))
  (core func $wait-for (canon lower (func $clock "wait-for") async))
  (core func $print (canon lower (func $stdout "write-via-stream")))
  (core func $poll (canon lower (func $poll "poll") (memory $memory) (realloc (core func $realloc))))
  (core func $subscribe (canon lower (func $clock2 "subscribe-duration")))
  (core func $get-stdin (canon lower (func $stdin2 "get-stdin")))
  (core func $get-stdout (canon lower (func $stdout2 "get-stdout")))
  (core func $splice (canon lower (func $streams "[method]output-stream.splice") (memory $memory)))
  (core func $drop-pollable (canon resource.drop $pollable))
  (core func $drop-request (canon resource.drop $request))
  (core func $drop-response (canon resource.drop $response))
  (core func $set-new (canon waitable-set.new))
  (core func $join (canon waitable.join))
  (core func $cancel (canon subtask.cancel))
  (core func $drop-task (canon subtask.drop))
  (core func $stream-new (canon stream.new $stream))
  (core func $stream-read (canon stream.read $stream async (memory $memory)))
  (core func $stream-write (canon stream.write $stream async (memory $memory)))
  (core func $stream-drop-r (canon stream.drop-readable $stream))
  (core func $stream-drop-w (canon stream.drop-writable $stream))
  (core func $trailers-new (canon future.new $trailers))
  (core func $trailers-write (canon future.write $trailers async (memory $memory)))
  (core func $trailers-drop-r (canon future.drop-readable $trailers))
  (core func $trailers-drop-w (canon future.drop-writable $trailers))
  (core func $result-new (canon future.new $result))
  (core func $result-write (canon future.write $result async (memory $memory)))
  (core func $result-drop-r (canon future.drop-readable $result))
  (core func $printed-drop-r (canon future.drop-readable $printed))
  (core func $return (canon task.return (result $answer) (memory $memory)))

  ;; Memory: 0 results, 16 what is said, 64 the value of the trailers, 128 what is read, 65536.. strings.
  (core module $M
    (import "" "memory" (memory 2))
    (import "" "fields-new" (func $fields-new (result i32)))
    (import "" "fields-append" (func $fields-append (param i32 i32 i32 i32 i32 i32)))
    (import "" "path" (func $path (param i32 i32)))
    (import "" "consume" (func $consume (param i32 i32 i32)))
    (import "" "take-back" (func $take-back (param i32 i32 i32)))
    (import "" "response-new" (func $response-new (param i32 i32 i32 i32 i32)))
    (import "" "send" (func $send (param i32 i32) (result i32)))
    (import "" "wait-for" (func $wait-for (param i64) (result i32)))
    (import "" "print" (func $print (param i32) (result i32)))
    (import "" "poll" (func $poll (param i32 i32 i32)))
    (import "" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "" "get-stdin" (func $get-stdin (result i32)))
    (import "" "get-stdout" (func $get-stdout (result i32)))
    (import "" "splice" (func $splice (param i32 i32 i64 i32)))
    (import "" "drop-pollable" (func $drop-pollable (param i32)))
    (import "" "drop-request" (func $drop-request (param i32)))
    (import "" "drop-response" (func $drop-response (param i32)))
    (import "" "set-new" (func $set-new (result i32)))
    (import "" "join" (func $join (param i32 i32)))
    (import "" "cancel" (func $cancel (param i32) (result i32)))
    (import "" "drop-task" (func $drop-task (param i32)))
    (import "" "stream-new" (func $stream-new (result i64)))
    (import "" "stream-read" (func $stream-read (param i32 i32 i32) (result i32)))
    (import "" "stream-write" (func $stream-write (param i32 i32 i32) (result i32)))
    (import "" "stream-drop-r" (func $stream-drop-r (param i32)))
    (import "" "stream-drop-w" (func $stream-drop-w (param i32)))
    (import "" "trailers-new" (func $trailers-new (result i64)))
    (import "" "trailers-write" (func $trailers-write (param i32 i32) (result i32)))
    (import "" "trailers-drop-r" (func $trailers-drop-r (param i32)))
    (import "" "trailers-drop-w" (func $trailers-drop-w (param i32)))
    (import "" "result-new" (func $result-new (result i64)))
    (import "" "result-write" (func $result-write (param i32 i32) (result i32)))
    (import "" "result-drop-r" (func $result-drop-r (param i32)))
    (import "" "printed-drop-r" (func $printed-drop-r (param i32)))
    (import "" "return" (func $return (param i32 i32 i32 i64 i32 i32 i32 i32)))
    (data (i32.const 16) "hello??output\0alater\0acontent-length5nox-sum")
    (global $mode (mut i32) (i32.const 0))
    (global $set (mut i32) (i32.const 0))
    (global $request (mut i32) (i32.const 0))
    (global $yields (mut i32) (i32.const 50))
    (global $slept (mut i32) (i32.const 0))
    (global $trailers (mut i32) (i32.const 0)) ;; its end of their future
    (global $body (mut i32) (i32.const 0))     ;; and that of the stream
    (global $came (mut i64) (i64.const 0))     ;; both ends of the future of what came of a response of its own

    (func $is (param $mode i32) (result i32) (i32.eq (global.get $mode) (local.get $mode)))
    (func $low (param $ends i64) (result i32) (i32.wrap_i64 (local.get $ends)))
    (func $high (param $ends i64) (result i32) (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32))))
    (func $wait (param $waitable i32) (result i32)
      (if (i32.eqz (global.get $set)) (then (global.set $set (call $set-new))))
      (if (local.get $waitable) (then (call $join (local.get $waitable) (global.get $set))))
      (i32.or (i32.const 2) (i32.shl (global.get $set) (i32.const 4))))
    ;; A response with these contents, and with trailers of its own unless some are given.
    (func $respond (param $has i32) (param $stream i32) (param $trailers i32) (result i32)
      (local $fields i32) (local $ends i64)
      (local.set $fields (call $fields-new))
      (if (call $is (i32.const 0x77)) (then ;; w
        (call $fields-append (local.get $fields)
          (i32.const 36) (i32.const 14) (i32.const 50) (i32.const 1) (i32.const 256))))
      (if (i32.eqz (local.get $trailers)) (then
        (local.set $ends (call $trailers-new))
        (local.set $trailers (call $low (local.get $ends)))))
      (call $response-new
        (local.get $fields) (local.get $has) (local.get $stream) (local.get $trailers) (i32.const 0))
      (call $result-drop-r (i32.load offset=4 (i32.const 0)))
      (if (i64.ne (local.get $ends) (i64.const 0)) (then
        (if (call $is (i32.const 0x71)) (then (call $trailers-drop-w (call $high (local.get $ends))))) ;; q
        (if (call $is (i32.const 0x45)) (then ;; E
          (i32.store8 (i32.const 64) (i32.const 1)) (i32.store8 (i32.const 72) (i32.const 35))))
        (if (call $is (i32.const 0x54)) (then ;; T
          (local.set $fields (call $fields-new))
          (call $fields-append (local.get $fields)
            (i32.const 53) (i32.const 5) (i32.const 50) (i32.const 1) (i32.const 256))
          (i32.store8 (i32.const 72) (i32.const 1)) (i32.store (i32.const 76) (local.get $fields))))
        (global.set $trailers (call $high (local.get $ends)))
        (if (i32.eqz (call $is (i32.const 0x6a))) (then
          (drop (call $trailers-write (global.get $trailers) (i32.const 64)))))))
      (i32.load (i32.const 0)))
    (func $return-response (param $response i32)
      (call $return (i32.const 0) (local.get $response)
        (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
    (func $hello (result i32) (local $ends i64) (local $n i32)
      (local.set $ends (call $stream-new))
      (local.set $n (call $respond (i32.const 1) (call $low (local.get $ends)) (i32.const 0)))
      (if (i32.or (call $is (i32.const 0x4f)) (call $is (i32.const 0x52))) (then ;; O, R
        (global.set $came (call $result-new))
        (call $take-back (local.get $n) (call $low (global.get $came)) (i32.const 0))
        (local.set $n
          (call $respond (i32.const 1) (i32.load (i32.const 0)) (i32.load offset=4 (i32.const 0))))))
      (call $return-response (local.get $n))
      (if (call $is (i32.const 0x69)) (then ;; i
        (call $stream-drop-w (call $high (local.get $ends)))
        (return (i32.const 0))))
      (local.set $n (call $stream-write (call $high (local.get $ends)) (i32.const 16)
        (select (i32.const 7) (i32.const 5) (call $is (i32.const 0x77)))))
      (if (i32.eq (local.get $n) (i32.const -1)) (then (return (call $wait (call $high (local.get $ends))))))
      unreachable)
    (func $say (param $at i32) (param $size i32) (local $ends i64)
      (local.set $ends (call $stream-new))
      (call $printed-drop-r (call $print (call $low (local.get $ends))))
      (drop (call $stream-write (call $high (local.get $ends)) (local.get $at) (local.get $size))))
    (func $sleep (param $for i64) (result i32)
      (call $wait (i32.shr_u (call $wait-for (local.get $for)) (i32.const 4))))
    (func $take-body
      (call $consume (global.get $request) (call $low (call $result-new)) (i32.const 0)))

    (func (export "handle") (param $request i32) (result i32) (local $n i32)
      (global.set $request (local.get $request))
      (call $path (local.get $request) (i32.const 0))
      (global.set $mode (i32.load8_u offset=1 (i32.load offset=4 (i32.const 0))))
      (if (call $is (i32.const 0x62)) (then ;; b
        (call $take-body)
        (call $return-response
          (call $respond (i32.const 1) (i32.load (i32.const 0)) (i32.load offset=4 (i32.const 0))))
        (return (i32.const 0))))
      (if (call $is (i32.const 0x66)) (then (call $take-body) (return (call $hello)))) ;; f
      (if (call $is (i32.const 0x64)) (then ;; d
        (call $take-body)
        (call $stream-drop-r (i32.load (i32.const 0)))
        (return (call $hello))))
      (if (call $is (i32.const 0x72)) (then ;; r
        (call $take-body)
        (local.set $n (i32.load (i32.const 0)))
        (if (i32.ne (call $stream-read (local.get $n) (i32.const 128) (i32.const 4)) (i32.const -1)) (then unreachable))
        (return (call $wait (local.get $n)))))
      (if (call $is (i32.const 0x6b)) (then (drop (call $send (local.get $request) (i32.const 0))) unreachable)) ;; k
      (call $drop-request (local.get $request))
      (if (call $is (i32.const 0x65)) (then ;; e
        (call $return (i32.const 1) (i32.const 38) (i32.const 1) (i64.const 51) (i32.const 2)
          (i32.const 0) (i32.const 0) (i32.const 0))
        (return (i32.const 0))))
      (if (call $is (i32.const 0x74)) (then unreachable)) ;; t
      (if (call $is (i32.const 0x6e)) (then (return (call $wait (i32.const 0))))) ;; n
      (if (i32.or (call $is (i32.const 0x79)) (call $is (i32.const 0x59))) (then (return (i32.const 1)))) ;; y, Y
      (if (call $is (i32.const 0x73)) (then (return (call $sleep (i64.const 20000000))))) ;; s
      (if (call $is (i32.const 0x6d)) (then (return (call $sleep (i64.const 500000000))))) ;; m
      (if (call $is (i32.const 0x53)) (then (return (call $sleep (i64.const 86400000000000))))) ;; S
      (if (call $is (i32.const 0x63)) (then ;; c
        (local.set $n (i32.shr_u (call $wait-for (i64.const 86400000000000)) (i32.const 4)))
        (if (i32.ne (call $cancel (local.get $n)) (i32.const 4)) (then unreachable))
        (call $drop-task (local.get $n))))
      (if (call $is (i32.const 0x6f)) (then (call $say (i32.const 23) (i32.const 7)))) ;; o
      (if (call $is (i32.const 0x70)) (then ;; p
        (i32.store (i32.const 0) (call $subscribe (i64.const 86400000000000)))
        (i32.store (i32.const 4) (call $subscribe (i64.const 1000000)))
        (call $poll (i32.const 0) (i32.const 2) (i32.const 8))
        (if (i32.ne (i32.load offset=12 (i32.const 0)) (i32.const 1)) (then unreachable))
        (if (i32.ne (i32.load (i32.load offset=8 (i32.const 0))) (i32.const 1)) (then unreachable))
        (call $splice (call $get-stdout) (call $get-stdin) (i64.const 1) (i32.const 16384))
        (if (i32.ne (i32.load8_u (i32.const 16384)) (i32.const 1)) (then unreachable)) ;; closed
        (call $drop-pollable (i32.load (i32.const 0)))
        (call $drop-pollable (i32.load offset=4 (i32.const 0)))))
      (if (call $is (i32.const 0x7a)) (then ;; z
        (local.set $n (i32.const 100000000))
        (loop $more (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))
      (if (call $is (i32.const 0x78)) (then ;; x
        (call $drop-response (call $respond (i32.const 1) (call $low (call $stream-new)) (i32.const 0)))))
      (if (call $is (i32.const 0x61)) (then ;; a
        (call $return-response (call $respond (i32.const 0) (i32.const 0) (i32.const 0)))
        (return (i32.const 0))))
      (if (call $is (i32.const 0x75)) (then ;; u
        (call $return-response (call $respond (i32.const 1) (call $low (call $stream-new)) (i32.const 0)))
        (return (i32.const 0))))
      (call $hello))

    (func (export "go-on") (param $event i32) (param $waitable i32) (param $n i32) (result i32)
      (if (i32.eq (local.get $event) (i32.const 0)) (then ;; has yielded
        (if (call $is (i32.const 0x79)) (then (global.set $yields (i32.sub (global.get $yields) (i32.const 1)))))
        (if (global.get $yields) (then (return (i32.const 1))))
        (return (call $hello))))
      (if (i32.eq (local.get $event) (i32.const 1)) (then ;; a subtask
        (if (i32.ne (local.get $n) (i32.const 2)) (then (return (call $wait (i32.const 0)))))
        (call $drop-task (local.get $waitable))
        (if (call $is (i32.const 0x6a)) (then
          (drop (call $trailers-write (global.get $trailers) (i32.const 64)))
          (return (i32.const 0))))
        (if (global.get $slept) (then (call $say (i32.const 30) (i32.const 6)) (return (i32.const 0))))
        (return (call $hello))))
      (if (i32.eq (local.get $event) (i32.const 2)) (then ;; has read
        (call $stream-drop-r (local.get $waitable))
        (return (call $hello))))
      (if (i32.eq (local.get $event) (i32.const 5)) (then ;; has written its trailers
        (call $trailers-drop-w (local.get $waitable))
        (call $stream-drop-w (global.get $body))
        (return (i32.const 0))))
      (if (call $is (i32.const 0x67)) (then ;; g
        (global.set $body (local.get $waitable))
        (return (call $wait (global.get $trailers)))))
      (if (call $is (i32.const 0x76)) (then ;; v
        (loop $more (if (i32.eqz (i32.and (local.get $n) (i32.const 1))) (then
          (local.set $n (call $stream-write (local.get $waitable) (i32.const 16) (i32.const 5)))
          (br_if $more (i32.ne (local.get $n) (i32.const -1)))
          (return (call $wait (i32.const 0))))))
        (call $say (i32.const 23) (i32.const 7))))
      (if (call $is (i32.const 0x52)) (then ;; R
        (drop (call $result-write (call $high (global.get $came)) (i32.const 64)))))
      (call $stream-drop-w (local.get $waitable)) ;; has written
      (if (i32.eqz (i32.or (call $is (i32.const 0x6c)) (call $is (i32.const 0x6a)))) (then (return (i32.const 0))))
      (global.set $slept (i32.const 1)) ;; l
      (call $sleep (i64.const 20000000))))
  (core instance $i (instantiate $M (with "" (instance
    (export "memory" (memory $memory)) (export "fields-new" (func $fields-new))
    (export "fields-append" (func $fields-append)) (export "path" (func $path)) (export "consume" (func $consume))
    (export "take-back" (func $take-back)) (export "response-new" (func $response-new)) (export "send" (func $send)) (export "wait-for" (func $wait-for))
    (export "print" (func $print)) (export "poll" (func $poll)) (export "subscribe" (func $subscribe))
    (export "get-stdin" (func $get-stdin)) (export "get-stdout" (func $get-stdout)) (export "splice" (func $splice))
    (export "drop-pollable" (func $drop-pollable)) (export "drop-request" (func $drop-request))
    (export "drop-response" (func $drop-response)) (export "set-new" (func $set-new)) (export "join" (func $join))
    (export "cancel" (func $cancel)) (export "drop-task" (func $drop-task)) (export "stream-new" (func $stream-new))
    (export "stream-read" (func $stream-read)) (export "stream-write" (func $stream-write))
    (export "stream-drop-r" (func $stream-drop-r)) (export "stream-drop-w" (func $stream-drop-w))
    (export "trailers-new" (func $trailers-new)) (export "trailers-write" (func $trailers-write))
    (export "trailers-drop-r" (func $trailers-drop-r)) (export "trailers-drop-w" (func $trailers-drop-w)) (export "result-new" (func $result-new))
    (export "result-write" (func $result-write)) (export "result-drop-r" (func $result-drop-r)) (export "printed-drop-r" (func $printed-drop-r))
    (export "return" (func $return))))))
  (func $handle async (param "request" (own $request)) (result $answer)
    (canon lift (core func $i "handle") async (callback (core func $i "go-on")) (memory $memory)))
  (instance $handler (export "handle" (func $handle)))
  (export "wasi:http/handler@0.3.0" (instance $handler)))
