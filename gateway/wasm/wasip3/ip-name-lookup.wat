;; `wasi:sockets/ip-name-lookup@0.3`.
(type $four' (tuple u8 u8 u8 u8)) (export "ipv4-address" (type $four (eq $four')))
(type $six' (tuple u16 u16 u16 u16 u16 u16 u16 u16)) (export "ipv6-address" (type $six (eq $six')))
(type $address' (variant (case "ipv4" $four) (case "ipv6" $six))) (export "ip-address" (type $address (eq $address')))
(type $error-code' (variant (case "access-denied") (case "invalid-argument") (case "name-unresolvable")
  (case "temporary-resolver-failure") (case "permanent-resolver-failure") (case "other" (option string))))
(export "error-code" (type $error-code (eq $error-code')))
(export "resolve-addresses" (func async (param "name" string) (result (result (list $address) (error $error-code)))))
