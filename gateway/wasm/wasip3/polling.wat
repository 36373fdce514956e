;; What stands between a guest and `wasi:io/poll@0.2`. A concurrent engine traps where one call lends the host two
;; handles that the caller owns (`gateway.host.settings`); handles that were lent to the caller itself are passed on
;; without harm.
(component
  (import "poll" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.ready" (func (param "self" (borrow $pollable)) (result bool)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))
    (export "poll" (func (param "in" (list (borrow $pollable))) (result (list u32))))))
  (alias export $poll "pollable" (type $pollable))
  (export $own "pollable" (type $pollable))
  (alias export $poll "[method]pollable.ready" (func $ready))
  (alias export $poll "[method]pollable.block" (func $block))
  (export "[method]pollable.ready" (func $ready) (func (param "self" (borrow $own)) (result bool)))
  (export "[method]pollable.block" (func $block) (func (param "self" (borrow $own))))
  (core module $Memory
    (memory (export "memory") 1 4)
    (global $top (mut i32) (i32.const 16))
    (func (export "realloc") (param i32 i32 i32) (param $size i32) (result i32) (local $at i32)
      (local.set $at (global.get $top))
      (if (i32.gt_u (local.get $size) (i32.sub (i32.const 262144) (local.get $at))) (then unreachable))
      (global.set $top (i32.add (local.get $at) (local.get $size)))
      (loop $more (if (i32.gt_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))) (then
        (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
        (br $more))))
      (local.get $at))
    (func (export "release") (param i32) (global.set $top (i32.const 16))))
  (core instance $memory' (instantiate $Memory))
  (alias core export $memory' "memory" (core memory $memory))
  (core func $lowered (canon lower (func $poll "poll") (memory $memory) (realloc (core func $memory' "realloc"))))
  (core func $drop (canon resource.drop $pollable))
  (core module $Core
    (import "" "memory" (memory 1))
    (import "" "poll" (func $poll (param i32 i32 i32)))
    (import "" "drop" (func $drop (param i32)))
    (func (export "poll") (param $at i32) (param $count i32) (result i32)
      (call $poll (local.get $at) (local.get $count) (i32.const 0))
      (loop $more (if (local.get $count) (then
        (call $drop (i32.load (local.get $at)))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $more))))
      (i32.const 0)))
  (core instance $core (instantiate $Core (with "" (instance
    (export "memory" (memory $memory)) (export "poll" (func $lowered)) (export "drop" (func $drop))))))
  (func (export "poll") (param "in" (list (borrow $own))) (result (list u32))
    (canon lift (core func $core "poll") (memory $memory) (realloc (core func $memory' "realloc"))
      (post-return (core func $memory' "release"))))
)
