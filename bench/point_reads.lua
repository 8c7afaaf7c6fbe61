-- Each request reads some item of the first million.
request = function()
	return wrk.format("GET", "/v1/items/" .. math.random(1, 1000000))
end
