# Clients of three tenants until /tmp/end is there; fails if a request did.
client() {
  while [ ! -e /tmp/end ]; do
    if curl -sf -o /dev/null -m 60 -H "x-llm-d-inference-fairness-id: $1" -H "content-type: application/json" \
      -d '{"model":"simulated","prompt":"Hello","max_tokens":20}' http://weir:8080/v1/completions; then
      echo "$1" >>/tmp/served
    else
      echo "$1: curl ended with $?" >>/tmp/failed
    fi
  done
}
touch /tmp/served /tmp/failed
for _ in $(seq 12); do client a & done
for _ in $(seq 24); do client b & done
for _ in $(seq 36); do client c & done
wait
for tenant in a b c; do echo "$tenant: $(grep -c "^$tenant$" /tmp/served) served"; done
cat /tmp/failed
[ ! -s /tmp/failed ]
