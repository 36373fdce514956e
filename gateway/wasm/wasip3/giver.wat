;; What the core module of a giver has for all functions.
  (func $over (result i32)
    (if (i32.and (global.get $returned) (i32.eqz (global.get $open))) (then (return (i32.const 0))))
    (call $wait))
  (func $begun (param $status i32) (result i32)
    (if (call $is-returned (local.get $status))
      (then (call $has-returned))
      (else (drop (call $listen (local.get $status)))))
    (call $over))
  (func $has-returned
    (global.set $returned (i32.const 1))
    (call $return))
  (func (export "go-on") (param $event i32) (param $handle i32) (param $n i32) (result i32)
    (if (i32.ne (local.get $event) (i32.const 1))
      (then (call $crossed (local.get $handle) (local.get $n)))
      (else (if (i32.eq (local.get $n) (i32.const 2)) (then
        (call $leave (local.get $handle))
        (call $has-returned)))))
    (call $over))
