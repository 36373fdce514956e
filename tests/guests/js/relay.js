// The exports `types` and `outcomes` of ../rpc.wit, which are the imports of the same names.

import * as types from "test:rpc/types@1.2.3";
import * as outcomes from "test:rpc/outcomes@1.2.3";

export { types, outcomes };
