;; Exports of every kind but a component, which the engine refuses. Two can be called with JSON: `answer`
;; at the root, and `answer` of the interface.
(component
  (core module $m
    (func (export "answer") (result i32) (i32.const 42))
    ;; What is a handle in WIT is a number here.
    (func (export "number") (param i32) (result i32) (local.get 0))
    (func (export "second") (param i32 i32) (result i32) (local.get 1)))
  (core instance $i (instantiate $m))
  (func $answer (result u32) (canon lift (core func $i "answer")))

  ;; At the root
  (export "answer" (func $answer))
  (type $thing-inside (resource (rep i32)))
  (export $thing "thing" (type $thing-inside))
  (func $make (result (own $thing)) (canon lift (core func $i "answer")))
  (export "make" (func $make))
  (func $pass (param "one" (tuple u8 (own $thing))) (result u32)
    (canon lift (core func $i "second")))
  (export "pass" (func $pass))
  (export "module" (core module $m))

  ;; In an interface
  (component $shop
    (import "answer" (func $answer (result u32)))
    (import "thing" (type $thing-outside (sub resource)))
    (import "make" (func $make (result (own $thing-outside))))
    (import "number" (func $number (param "self" (borrow $thing-outside)) (result u32)))
    (core module $m)
    (instance $inner (export "answer" (func $answer)))

    (export "answer" (func $answer))
    (export $thing "thing" (type $thing-outside))
    (export "[constructor]thing" (func $make) (func (result (own $thing))))
    (export "[method]thing.number" (func $number)
      (func (param "self" (borrow $thing)) (result u32)))
    (export "inner" (instance $inner))
    (export "module" (core module $m)))
  (func $number (param "self" (borrow $thing)) (result u32) (canon lift (core func $i "number")))
  (instance $shop (instantiate $shop
    (with "answer" (func $answer))
    (with "thing" (type $thing-inside))
    (with "make" (func $make))
    (with "number" (func $number))))
  (export "test:exports/shop@1.0.0" (instance $shop)))
