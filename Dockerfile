# Weir's replica, in an image with nothing but it: no shell, no package, no user but
# one without rights. It writes no file, so the root can be read-only.
#
#   docker build -t weir .
#   docker run --read-only weir serve --help
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /weir ./cmd/weir

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/LICENSE /src/THIRD_PARTY_NOTICES /
COPY --from=build /weir /weir
USER 65532:65532
# HTTP, admin, ext_proc, gossip, ticket streams
EXPOSE 8080 9090 9002 7946 7946/udp 7947
ENTRYPOINT ["/weir"]
