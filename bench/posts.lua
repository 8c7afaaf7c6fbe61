-- Each request makes an item.
wrk.method = "POST"
wrk.path = "/v1/items"
wrk.body = '{"name":"hexagon bolt","category":"m8","quantity":5,"price_cents":120}'
wrk.headers["Content-Type"] = "application/json"
