-- What the replica withdraws, and what it offers.

do

-- Withdrawals. What is offered is looked at together with what is withdrawn.
step(function()
  local tickets, n = {}, 0
  for _, ticket in ipairs(stated.withdrawn) do
    n = n + 1
    tickets[n] = ticket
  end
  for _, st in ipairs(stated.offers) do
    n = n + 1
    tickets[n] = st.ticket
  end
  look_at_offers(tickets)
  for _, ticket in ipairs(stated.withdrawn) do
    local offer = offers[ticket]
    if offer and offer.owner == my_id and not offer.granted then remove(ticket, offer) end
  end
end)

-- Whether a ticket that was taken from another owner waits again at this replica, which offers
-- it: this is its ingress, and has read that it stood in line.
local function has_back(ticket, offer)
  if offer.owner == my_id or string.sub(ticket, 18) ~= my_id then return false end
  for _, m in ipairs(unread) do
    if m.ticket == ticket then return false end
  end
  return true
end

-- Offers.
step(function()
  local flows, noted = {}, nil -- the band whose offer was noted last
  for _, st in ipairs(stated.offers) do
    local name = my_book[st.priority]
    if name and st.group ~= '' then name = groups.open(name, st.group).name end
    st.book, st.owner, st.granted = name, my_id, false
    if st.weight <= 0 then st.weight = 1 end
    if name then
      local of = flows[name]
      if of then of[#of + 1] = st.flow else flows[name] = { st.flow } end
    end
  end
  for name, of in pairs(flows) do
    if book_at(name).counts then look_at_counters(book_at(name), of) end
  end
  for _, st in ipairs(stated.offers) do
    local ticket = st.ticket
    local offer = offers[ticket]
    if offer and offer.granted and not has_back(ticket, offer) then
      local book = offer.owner ~= my_id and (books[offer.book] or groups.node(offer.book, true)) -- it may have been forgotten since
      if book then post(me, TAKEN, ticket, offer, counter_of(book, offer.flow)) end
    else
      if offer and not offer.granted then
        if offer.owner ~= my_id then
          if replica(offer.owner) then post(replica(offer.owner), DROPPED, ticket, offer) end
        elseif offer.book == st.book then
          st.idle, st.idle_groups = false, 0 -- it stood here before: it was lifted then, or had not to be
        end
        remove(ticket, offer)
      end
      if st.book then
        set_offer(ticket, st)
        came[ticket] = true
        stand(st, st.score .. ticket, st.idle)
        if st.priority ~= noted then order.note_offered(st.priority) end
        noted = st.priority
      end
    end
  end
  if stated.register or stated.full then
    local repeated = {}
    for _, st in ipairs(stated.offers) do repeated[st.ticket] = true end
    for _, ticket in ipairs(call('SMEMBERS', own_key(my_id))) do
      if not repeated[ticket] then
        local offer = offer_of(ticket)
        if offer then remove(ticket, offer) else stands_no_more(my_id, ticket) end
      end
    end
  end
end)

end
