# Tenants that come in by different replicas; each client asks again once it was answered.

# tenant NAME CLIENTS HOST:PORT
tenant() {
  for _ in $(seq "$2"); do
    while :; do
      curl -sf -o /dev/null -m 120 -H "x-llm-d-inference-fairness-id: $1" -H "content-type: application/json" \
        -d '{"model":"simulated","prompt":"Hello","max_tokens":50}' "http://$3/v1/completions" || sleep 1
    done &
  done
}

tenant greedy 40 weir-1:8080
tenant modest 16 weir-2:8080
tenant small 12 weir-3:8080
wait
