;; The functions that the examples of the JSON-RPC 2.0 specification call (section 7), all but `foobar`, which is
;; missing there too.
(component
  (core module $m
    (memory (export "memory") 1)
    (data (i32.const 0) "\10\00\00\00\05\00\00\00\05\00\00\00")  ;; a string at 16 of 5 bytes, and 5
    (data (i32.const 16) "hello")
    (func (export "subtract") (param i32 i32) (result i32)
      (i32.sub (local.get 0) (local.get 1)))
    (func (export "sum") (param i32 i32 i32) (result i32)
      (i32.add (i32.add (local.get 0) (local.get 1)) (local.get 2)))
    (func (export "take-one") (param i32))
    (func (export "take-three") (param i32 i32 i32))
    (func (export "take-five") (param i32 i32 i32 i32 i32))
    (func (export "get-data") (result i32) (i32.const 0)))
  (core instance $i (instantiate $m))
  (alias core export $i "memory" (core memory $memory))

  (func (export "subtract") (param "minuend" s32) (param "subtrahend" s32) (result s32)
    (canon lift (core func $i "subtract")))
  (func (export "sum") (param "a" s32) (param "b" s32) (param "c" s32) (result s32)
    (canon lift (core func $i "sum")))
  (func (export "update")
    (param "a" s32) (param "b" s32) (param "c" s32) (param "d" s32) (param "e" s32)
    (canon lift (core func $i "take-five")))
  (func (export "notify-hello") (param "a" s32)
    (canon lift (core func $i "take-one")))
  (func (export "notify-sum") (param "a" s32) (param "b" s32) (param "c" s32)
    (canon lift (core func $i "take-three")))
  (func (export "get-data") (result (tuple string s32))
    (canon lift (core func $i "get-data") (memory $memory))))
