;; The core module of the pump, a task that has what was heard of and what the host says to go on, and yields in between.
(module
  (import "host" "next" (func $host-next (param i32) (result i32)))
  (import "adapter" "turn" (func $adapter-turn (result i32)))
  (import "adapter" "serve" (func $adapter-serve (param i32) (result i32)))
  (import "adapter" "unheard" (func $unheard (result i32)))
  (import "tasks" "hear" (func $hear (param i32) (result i32)))
  (import "next" "turn" (func $next-turn (result i32)))
  (import "next" "serve" (func $next-serve (param i32)))
  (import "task" "return" (func $return))

  (func (export "pump") (result i32) (call $turn))
  (func (export "pump-on") (param i32 i32 i32) (result i32) (call $turn))
  (func $turn (result i32) (local $did i32) (local $n i32)
    (loop $more
      (local.set $did (i32.or (local.get $did) (i32.or (call $adapter-turn) (call $next-turn))))
      (loop $hearing
        (local.set $n (call $unheard))
        (if (local.get $n) (then
          ;; It has returned at once, and goes on.
          (if (i32.ne (call $hear (local.get $n)) (i32.const 2)) (then unreachable))
          (local.set $did (i32.const 1))
          (br $hearing))))
      (local.set $n (call $host-next (local.get $did)))
      (if (i32.eqz (local.get $n)) (then (return (i32.const 1)))) ;; YIELD
      (if (i32.eq (local.get $n) (i32.const -1)) (then (call $return) (return (i32.const 0)))) ;; EXIT
      (local.set $did (i32.const 1))
      (if (i32.eqz (call $adapter-serve (local.get $n))) (then (call $next-serve (local.get $n))))
      (br $more))
    unreachable)
)
