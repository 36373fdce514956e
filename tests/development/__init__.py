"""Components while they are written: builds, and the gateway that tells of them."""
