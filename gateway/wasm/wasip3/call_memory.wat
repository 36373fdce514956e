;; The memory of a caller, whose end only moves up: it is gone with the call.
(core module $Memory
  (memory (export "memory") 1)
  (global $top (mut i32) (i32.const 1024))
  (func (export "realloc") (param $old i32) (param $old-size i32) (param $alignment i32) (param $size i32)
    (result i32) (local $at i32) (local $end i64)
    (local.set $at (i32.and (i32.add (global.get $top) (i32.sub (local.get $alignment) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $alignment))))
    (if (i32.and (i32.ne (local.get $old) (i32.const 0))
      (i32.eq (i32.add (local.get $old) (local.get $old-size)) (global.get $top)))
      (then (local.set $at (local.get $old)))) ;; the last one grows where it is
    (local.set $end (i64.add (i64.extend_i32_u (local.get $at)) (i64.extend_i32_u (local.get $size))))
    (if (i64.gt_u (local.get $end) (i64.extend_i32_u (i32.mul (memory.size) (i32.const 65536)))) (then
      (if (i32.eq (i32.const -1) (memory.grow (i32.wrap_i64 (i64.sub
        (i64.shr_u (i64.add (local.get $end) (i64.const 65535)) (i64.const 16))
        (i64.extend_i32_u (memory.size))))))
        (then unreachable))))
    (global.set $top (i32.wrap_i64 (local.get $end)))
    (if (i32.ne (local.get $at) (local.get $old)) (then
      (memory.copy (local.get $at) (local.get $old) (select (local.get $size) (local.get $old-size)
        (i32.lt_u (local.get $size) (local.get $old-size))))))
    (local.get $at)))
