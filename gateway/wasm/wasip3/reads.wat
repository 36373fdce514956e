  ;; --- streams and futures that the guest gives -------------------------------------------------------------

  ;; The host knows an end by its handle. It says which to read from, one buffer at a time, and which to drop. What is
  ;; under way has
  ;;    0  the handle
  ;;    4  the number of its type
  ;;    8  a buffer of 64 KiB
  ;;   12  the next one
  (global $reads (mut i32) (i32.const 0))

  (func $read-job (local $job i64) (local $handle i32) (local $type i32)
    (local.set $job (call $host-job (i32.const 0)))
    (local.set $handle (i32.wrap_i64 (local.get $job)))
    (local.set $type (i32.and (i32.const 0xffffff) (call $high (local.get $job))))
    (if (i64.lt_s (local.get $job) (i64.const 0)) (then (return))) ;; it has ended meanwhile
    (if (i64.eqz (i64.shr_u (local.get $job) (i64.const 56)))
      (then (call $read-some (local.get $handle) (local.get $type)))
      (else (call $read-no-more (local.get $handle) (local.get $type)))))
  (func $read-some (param $handle i32) (param $type i32) (local $read i32) (local $n i32)
    (local.set $read (call $take-sleeper (i32.const 0)))
    (i32.store (local.get $read) (local.get $handle))
    (i32.store offset=4 (local.get $read) (local.get $type))
    (if (global.get $free)
      (then
        (i32.store offset=8 (local.get $read) (global.get $free))
        (global.set $free (i32.load (global.get $free))))
      (else (i32.store offset=8 (local.get $read) (call $grow))))
    (local.set $n (call $read-into
      (local.get $handle) (local.get $type) (i32.load offset=8 (local.get $read))))
    (if (i32.ne (local.get $n) (i32.const -1)) (then (call $was-read (local.get $read) (local.get $n)) (return)))
    (if (i32.eqz (global.get $set)) (then (global.set $set (call $set-new))))
    (call $join (local.get $handle) (global.get $set))
    (i32.store offset=12 (local.get $read) (global.get $reads))
    (global.set $reads (local.get $read)))
  (func $was-read (param $read i32) (param $n i32)
    (call $pass-on (i32.load (local.get $read)) (i32.load offset=4 (local.get $read))
      (i32.load offset=8 (local.get $read)) (local.get $n))
    (call $read-ended (local.get $read)))
  (func $read-ended (param $read i32)
    (i32.store (i32.load offset=8 (local.get $read)) (global.get $free))
    (global.set $free (i32.load offset=8 (local.get $read)))
    (call $let-go (local.get $read)))
  ;; What is under way of an end, and is so no longer; 0 for nothing.
  (func $reading (param $handle i32) (result i32) (local $at i32) (local $read i32)
    (local.set $read (global.get $reads))
    (loop $search
      (if (i32.eqz (local.get $read)) (then (return (i32.const 0))))
      (if (i32.ne (i32.load (local.get $read)) (local.get $handle)) (then
        (local.set $at (local.get $read))
        (local.set $read (i32.load offset=12 (local.get $read)))
        (br $search))))
    (if (local.get $at)
      (then (i32.store offset=12 (local.get $at) (i32.load offset=12 (local.get $read))))
      (else (global.set $reads (i32.load offset=12 (local.get $read)))))
    (local.get $read))
  (func $read-event (param $handle i32) (param $n i32) (result i32) (local $read i32)
    (local.set $read (call $reading (local.get $handle)))
    (if (i32.eqz (local.get $read)) (then (return (i32.const 0))))
    (call $join (local.get $handle) (i32.const 0))
    (call $was-read (local.get $read) (local.get $n))
    (i32.const 1))
  (func $read-no-more (param $handle i32) (param $type i32) (local $read i32)
    (local.set $read (call $reading (local.get $handle)))
    (if (local.get $read) (then
      (call $join (local.get $handle) (i32.const 0))
      (call $cancel-read (local.get $handle) (local.get $type))
      (call $read-ended (local.get $read))))
    (call $drop-readable (local.get $handle) (local.get $type)))

  ;; --- streams and futures that the guest is given ----------------------------------------------------------

  (func $have-ends (param $sleeper i32) (local $type i32)
    (loop $more
      (local.set $type (call $host-wanted (call $tagged (local.get $sleeper))))
      (if (i32.ge_s (local.get $type) (i32.const 0)) (then
        (call $new-end (local.get $type))
        (call $host-made (i32.load offset=64 (i32.const 0)) (i32.load offset=68 (i32.const 0)))
        (br $more)))))
