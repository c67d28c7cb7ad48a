-- Every request differs, as those of real clients do: a server that remembers what it parsed gains nothing here.
local number = 0

function request()
    number = number + 1
    return wrk.format("GET", "/?n=" .. number, {["Host"] = "127.0.0.1", ["Cookie"] = "id=" .. number})
end
