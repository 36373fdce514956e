;; What the core modules of callers have in common. Each call has an instance of its own, so there is one set and one
;; function.
;;
;; An end of a stream or a future that is the caller's has
;;    0  its handle, 0 when it has been dropped
;;    4  the number of its type
;;    8  where what it carries is, or comes
;;   12  how many elements have room there
;;   16  how many have crossed
;;   20  where the whole of it is wanted in the end
;;   24  the next one
  (import "" "memory" (memory 1))
  (import "" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
  (import "set" "new" (func $set-new (result i32)))
  (import "set" "join" (func $join (param i32 i32)))
  (import "subtask" "drop" (func $drop-subtask (param i32)))
  (global $set (mut i32) (i32.const 0))
  (global $function (mut i32) (i32.const 0))
  (global $result (mut i32) (i32.const 0))
  (global $returned (mut i32) (i32.const 0))
  (global $first (mut i32) (i32.const 0))   ;; of the ends
  (global $open (mut i32) (i32.const 0))    ;; how many of them have not been dropped

  (func $allocate (param $count i32) (param $size i32) (param $alignment i32) (result i32) (local $all i64)
    (local.set $all (i64.mul (i64.extend_i32_u (local.get $count)) (i64.extend_i32_u (local.get $size))))
    (if (i64.gt_u (local.get $all) (i64.const 0x7fffffff)) (then unreachable))
    (call $realloc (i32.const 0) (i32.const 0) (local.get $alignment) (i32.wrap_i64 (local.get $all))))
  (func $wait (result i32) (i32.or (i32.const 2) (i32.shl (global.get $set) (i32.const 4))))
  (func $is-returned (param $status i32) (result i32)
    (i32.eq (i32.and (local.get $status) (i32.const 15)) (i32.const 2)))
  (func $listen (param $task i32) (result i32)
    (call $join (i32.shr_u (local.get $task) (i32.const 4)) (global.get $set))
    (i32.shr_u (local.get $task) (i32.const 4)))
  (func $leave (param $task i32)
    (call $join (local.get $task) (i32.const 0))
    (call $drop-subtask (local.get $task)))
  (func $begin (param $handle i32) (param $type i32) (param $at i32) (param $count i32) (param $wanted i32)
    (local $end i32)
    (local.set $end (call $allocate (i32.const 1) (i32.const 28) (i32.const 4)))
    (i32.store (local.get $end) (local.get $handle))
    (i32.store offset=4 (local.get $end) (local.get $type))
    (i32.store offset=8 (local.get $end) (local.get $at))
    (i32.store offset=12 (local.get $end) (local.get $count))
    (i32.store offset=16 (local.get $end) (i32.const 0))
    (i32.store offset=20 (local.get $end) (local.get $wanted))
    (i32.store offset=24 (local.get $end) (global.get $first))
    (global.set $first (local.get $end))
    (global.set $open (i32.add (global.get $open) (i32.const 1)))
    (call $go-on (local.get $end)))
  (func $go-on (param $end i32) (local $n i32)
    (loop $more
      (local.set $n (call $copy (local.get $end)
        (i32.load (local.get $end)) (i32.load offset=4 (local.get $end))))
      (if (i32.eq (local.get $n) (i32.const -1)) (then
        (call $join (i32.load (local.get $end)) (global.get $set))
        (return)))
      (br_if $more (call $has-more (local.get $end) (local.get $n)))))
  (func $has-more (param $end i32) (param $n i32) (result i32)
    (i32.store offset=16 (local.get $end)
      (i32.add (i32.load offset=16 (local.get $end)) (i32.shr_u (local.get $n) (i32.const 4))))
    (if (call $is-over (local.get $end) (local.get $n)) (then
      (call $finish (local.get $end) (i32.load (local.get $end)) (i32.load offset=4 (local.get $end)))
      (i32.store (local.get $end) (i32.const 0))
      (global.set $open (i32.sub (global.get $open) (i32.const 1)))
      (return (i32.const 0))))
    (i32.const 1))
  (func $crossed (param $handle i32) (param $n i32) (local $end i32)
    (local.set $end (global.get $first))
    (loop $search
      (if (i32.eqz (local.get $end)) (then (return)))
      (if (i32.eq (i32.load (local.get $end)) (local.get $handle)) (then
        (if (call $has-more (local.get $end) (local.get $n)) (then (call $go-on (local.get $end))))
        (return)))
      (local.set $end (i32.load offset=24 (local.get $end)))
      (br $search)))
  (func $left (param $end i32) (result i32) (local $n i32)
    (local.set $n (i32.sub (i32.load offset=12 (local.get $end)) (i32.load offset=16 (local.get $end))))
    (select (local.get $n) (i32.const 0x8000000) (i32.lt_u (local.get $n) (i32.const 0x8000000))))
  (func $have-room (param $end i32) (param $size i32) (param $alignment i32) (param $first i32) (local $n i32)
    (local.set $n (i32.load offset=12 (local.get $end)))
    (if (i32.gt_u (local.get $n) (i32.load offset=16 (local.get $end))) (then (return)))
    (i32.store offset=12 (local.get $end)
      (select (i32.shl (local.get $n) (i32.const 1)) (local.get $first) (local.get $n)))
    (if (i64.gt_u (i64.const 0x7fffffff)
      (i64.mul (i64.extend_i32_u (i32.load offset=12 (local.get $end))) (i64.extend_i32_u (local.get $size))))
      (then) (else unreachable))
    (i32.store offset=8 (local.get $end) (call $realloc (i32.load offset=8 (local.get $end))
      (i32.mul (local.get $n) (local.get $size)) (local.get $alignment)
      (i32.mul (i32.load offset=12 (local.get $end)) (local.get $size)))))
