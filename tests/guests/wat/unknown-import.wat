;; A component with an import that no host knows. It still loads: `safe` runs, while `run` and the
;; handler trap where they call the import.
(component
  (import "acme:things/stuff@1.0.0" (instance $stuff
    (export "do-it" (func (result u32)))))
  (import "wasi:http/types@0.2.0" (instance $types
    (export "incoming-request" (type (sub resource)))
    (export "response-outparam" (type (sub resource)))))
  (alias export $types "incoming-request" (type $incoming-request))
  (alias export $types "response-outparam" (type $response-outparam))

  (core func $do-it (canon lower (func $stuff "do-it")))
  (core module $Main
    (import "acme" "do-it" (func $do-it (result i32)))
    (func (export "run") (result i32) (call $do-it))
    (func (export "safe") (result i32) (i32.const 42))
    (func (export "handle") (param i32 i32) (drop (call $do-it))))
  (core instance $main (instantiate $Main
    (with "acme" (instance (export "do-it" (func $do-it))))))

  (func (export "run") (result u32) (canon lift (core func $main "run")))
  (func (export "safe") (result u32) (canon lift (core func $main "safe")))
  (type $handle (func
    (param "request" (own $incoming-request)) (param "response-out" (own $response-outparam))))
  (func $handle (type $handle) (canon lift (core func $main "handle")))
  (instance (export "wasi:http/incoming-handler@0.2.0") (export "handle" (func $handle))))
