;; A handler that cannot be instantiated: the start function of its core module traps. It compiles,
;; and its imports and exports can be read.
(component
  (import "wasi:http/types@0.2.0" (instance $types
    (export "incoming-request" (type (sub resource)))
    (export "response-outparam" (type (sub resource)))))
  (alias export $types "incoming-request" (type $incoming-request))
  (alias export $types "response-outparam" (type $response-outparam))

  (core module $Main
    (func $start unreachable)
    (start $start)
    (func (export "handle") (param i32 i32)))
  (core instance $main (instantiate $Main))

  (type $handle (func
    (param "request" (own $incoming-request)) (param "response-out" (own $response-outparam))))
  (func $handle (type $handle) (canon lift (core func $main "handle")))
  (instance (export "wasi:http/incoming-handler@0.2.0") (export "handle" (func $handle))))
