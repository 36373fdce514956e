;; A core module, what a compiler makes before it is wrapped: not a component.
(module
  (func (export "run") (result i32) (i32.const 42)))
